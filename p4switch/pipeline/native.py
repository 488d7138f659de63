"""Building a program's C with the system's compiler, keeping the result, and loading it.

An entry of the cache is a folder named by a hash of all that went into it: the JSON, the code generator, the C
runtime, the flags and the compiler. One process builds it under a lock while others wait; it appears by a rename.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from p4switch.codegen import Generated, generate
from p4switch.errors import BuildError
from p4switch.program import Json, Program

RUNTIME = Path(__file__).parents[1] / "runtime"
FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-pthread", "-w")
QUICK = ("-O0", *FLAGS[1:])
"""For who builds a program in order to send it few packets."""
RUNTIME_SOURCES = ("p4_tables.c", "p4_hash.c", "p4_switch.c")
LOOP_SOURCES = ("p4_loop.c", "p4_port.c")


def default_cache() -> Path:
    """$P4SWITCH_CACHE; or else build/p4switch-cache in a checkout, and p4lite in the user's cache if installed."""
    given = os.environ.get("P4SWITCH_CACHE")
    if given:
        return Path(given)
    checkout = RUNTIME.parents[1]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "build" / "p4switch-cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "p4lite"


def compiler() -> list[str]:
    """$CC or cc, as a command. Raises BuildError where there is none."""
    command = shlex.split(os.environ.get("CC") or "cc")
    found = shutil.which(command[0])
    if found is None:
        raise BuildError(f"no C compiler: {command[0]} is not on the PATH (install gcc, or set CC)")
    return [found, *command[1:]]


@dataclass(frozen=True)
class Built:
    """A built program: the shared object, and what Python must know of the generated code."""

    library: Path
    generated: Generated


@lru_cache
def _sources_digest() -> bytes:
    """Everything of this package that shapes the C."""
    digest = hashlib.sha256()
    here = Path(__file__).parents[1]
    for path in (
        *sorted((here / "codegen").glob("*.py")),
        here / "program.py",
        here / "program_json.py",
        *sorted(RUNTIME.iterdir()),
    ):
        if path.suffix in (".py", ".c", ".h"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()


def _key(parts: Sequence[bytes], command: Sequence[str], flags: Sequence[str]) -> str:
    digest = hashlib.sha256(_sources_digest())
    stat = os.stat(command[0])
    for part in (*parts, repr((command, flags, stat.st_size, stat.st_mtime_ns)).encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]


@contextmanager
def _missing(path: Path, cache: Path) -> Iterator[Path | None]:
    """An empty folder in which to make `path`'s content under its name, which then appears there; None if it is there
    already. One process makes it while others wait."""
    if path.exists():
        yield None
        return
    with _lock_file(path, cache) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as folder:
            yield Path(folder)
            (Path(folder) / path.name).rename(path)


def _lock_file(path: Path, cache: Path) -> IO[str]:
    """Raises BuildError, as nothing else would say that the folder is at fault and not the program."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return open(cache / f"{path.name}.lock", "w")
    except OSError as error:
        raise BuildError(f"cannot keep built programs in {cache}: {error.strerror}; name another folder") from None


def build_program(data: Json, program: Program, cache: Path | None = None, flags: Sequence[str] = FLAGS) -> Built:
    """The built form of a program, from the cache or made now. Raises ProgramError, BuildError, OSError."""
    cache, command = (cache or default_cache()).absolute(), compiler()
    key = _key((json.dumps(data, sort_keys=True).encode(),), command, flags)
    entry = cache / key
    with _missing(entry, cache) as folder:
        if folder is not None:
            (folder / key).mkdir()
            _build(program, cache, folder / key, command, flags)
    return Built(entry / "program.so", _load_generated(entry / "program.json"))


def _build(program: Program, cache: Path, work: Path, command: list[str], flags: Sequence[str]) -> None:
    generated = generate(program)
    for name, text in generated.files.items():
        (work / name).write_text(text, encoding="utf-8")
    compile_program = _start([*command, *flags, "-I", str(RUNTIME), "-c", "step.c", "-o", "program.o"], work)
    runtime = _runtime_objects(cache, command, flags)
    _finish(compile_program, "the generated program")
    _finish(_start([*command, *flags, "-shared", "-o", "program.so", "program.o", str(runtime)], work), "the program")
    (work / "program.o").unlink()
    facts = asdict(generated)
    del facts["files"]
    (work / "program.json").write_text(json.dumps(facts), encoding="utf-8")


def _runtime_objects(cache: Path, command: list[str], flags: Sequence[str]) -> Path:
    """The runtime, compiled once for all programs."""
    path = cache / f"runtime-{_key((), command, flags)}.o"
    sources = [str(RUNTIME / name) for name in RUNTIME_SOURCES]
    with _missing(path, cache) as folder:
        if folder is not None:
            _finish(_start([*command, *flags, "-r", "-nostdlib", "-o", path.name, *sources], folder), "the runtime")
    return path


def build_ahead(cache: Path | None = None) -> None:
    """Build what every program needs, so that the first one need not wait for it. Raises BuildError, OSError."""
    build_loop(cache)
    _runtime_objects((cache or default_cache()).absolute(), compiler(), FLAGS)


def build_loop(cache: Path | None = None, flags: Sequence[str] = FLAGS) -> Path:
    """The packet loop's shared object, which serves every program."""
    cache, command = (cache or default_cache()).absolute(), compiler()
    path = cache / f"loop-{_key((), command, flags)}.so"
    sources = [str(RUNTIME / name) for name in LOOP_SOURCES]
    with _missing(path, cache) as folder:
        if folder is not None:
            _finish(_start([*command, *flags, "-shared", "-o", path.name, *sources], folder), "the packet loop")
    return path


def _start(command: list[str], folder: Path | str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: subprocess.Popen[str], what: str) -> None:
    output, _ = process.communicate()
    if process.returncode:
        lines = [line for line in output.splitlines() if "error" in line] or output.splitlines()
        raise BuildError(f"the C compiler refused {what}: {'; '.join(lines[:3])}")


def _load_generated(path: Path) -> Generated:
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Generated(
        files={},
        actions={int(k): v for k, v in facts["actions"].items()},
        messages=tuple(facts["messages"]),
        value_sets={k: tuple(v) for k, v in facts["value_sets"].items()},
        digests={int(k): (v[0], tuple(v[1])) for k, v in facts["digests"].items()},
    )


_P, _U32, _U64, _BOOL = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_bool
_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "p4_open": (_P, ()),
    "p4_free": (None, (_P,)),
    "p4_step_alone": (None, (_P, _P, _U32, ctypes.c_char_p, _U32, _U64, _U64, _P, _P)),
    "p4_set_logging": (None, (_P, _BOOL)),
    "p4_set_queue_length": (None, (_P, _U32, _U32)),
    "p4_edit_insert": (_P, (_P, _U32, _P, _P, _U32, _U32, _P, _P, _P)),
    "p4_edit_delete": (None, (_P, _U32, _P)),
    "p4_edit_modify": (None, (_P, _U32, _P, _U32, _P, _P, _P)),
    "p4_read_entry": (None, (_P, _U32, _P, _P, _P, _P)),
    "p4_edit_entry_counter": (None, (_P, _U32, _P, _U64, _U64)),
    "p4_edit_touch": (None, (_P, _P, _U64)),
    "p4_entry_meter": (_P, (_P, _U32, _P)),
    "p4_array_meter": (_P, (_P, _U32, _U32)),
    "p4_edit_meter": (None, (_P, _P, _BOOL, _U64, _U64, _U64, _U64)),
    "p4_read_counters": (None, (_P, _U32, _U32, _U32, _P)),
    "p4_edit_counter": (None, (_P, _U32, _U32, _U64, _U64)),
    "p4_read_registers": (None, (_P, _U32, _U32, _U32, _P)),
    "p4_edit_register": (None, (_P, _U32, _U32, _P)),
    "p4_edit_value_set": (_BOOL, (_P, _U32, _U32, _P)),
    "p4_edit_replicas": (_BOOL, (_P, _BOOL, _U32, _U32, _P, _U32)),
    "p4_new_member": (_P, (_U32,)),
    "p4_edit_member": (None, (_P, _P, _U32, _U32, _P)),
    "p4_new_group": (_P, ()),
    "p4_edit_group": (_BOOL, (_P, _P, _U32, _P)),
    "p4_free_group": (None, (_P,)),
    "p4_free_member": (None, (_P,)),
    "p4_free_block": (None, (_P,)),
}


def load_library(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
