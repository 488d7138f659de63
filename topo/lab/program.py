"""The P4 program, compiled into ``build/`` when, and only when, what it is made of has changed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from topo import paths
from topo.errors import LabError
from topo.lab import configs
from topo.lab.switches import BMV2_COMPILER, Compiler

SOURCE = paths.ROOT / "p4" / "raft.p4"
PAYLOADS = paths.ROOT / "topo" / "wireshark" / "raft_payloads.lua"
OUTPUTS = ("raft.json", "raft.p4info.txtpb")


def compile_if_changed(compiler: Compiler, raft_port: int) -> bool:
    """Compile; False where the last result still holds. Raises LabError with the compiler's own words."""
    stamp_file = paths.build() / "raft.stamp"
    stamp = _stamp(compiler, _defines(raft_port))
    done = all((paths.build() / name).is_file() for name in OUTPUTS)
    if done and stamp_file.is_file() and stamp_file.read_text() == stamp:
        return False
    paths.make(paths.build())
    with tempfile.TemporaryDirectory(dir=paths.build(), prefix="compile-") as folder:
        refusal = run_compiler(compiler, SOURCE, Path(folder), raft_port)
        if refusal and paths.is_full(paths.build()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(paths.build()))
        if refusal:
            raise LabError(f"{refusal}\n{paths.shown(SOURCE)} does not compile; see above")
        for name in OUTPUTS:
            made = Path(folder, name)
            if not made.is_file():
                raise LabError(f"{compiler} wrote no {name}")
            paths.give(made)
            made.replace(paths.build() / name)
    stamp_file.write_text(stamp)
    paths.give(stamp_file)
    return True


def run_compiler(compiler: Compiler, source: Path, folder: Path, raft_port: int) -> str:
    """Compile a raft.p4, with the include folder beside it, into ``folder``. What the compiler says if it refuses, ""
    if it does not."""
    options = ["-I", str(source.with_name("include"))]
    for name, value in _defines(raft_port).items():
        options += [f"-D{name}={value}"] if compiler == "p4c" else ["-D", f"{name}={value}"]
    if compiler == "p4c":
        outputs = ["-o", str(folder / OUTPUTS[0]), "--p4runtime-files", str(folder / OUTPUTS[1])]
        command = [BMV2_COMPILER, "--std", "p4-16", *options, *outputs, str(source)]
    else:
        command = [sys.executable, "-m", "p4compiler", str(source), "-o", str(folder), *options]
    result = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return ""
    return (result.stderr or result.stdout).strip() or f"{compiler} ended with {result.returncode}"


def write_dissector(script: Path, raft_port: int) -> None:
    """A dissector of raft.p4 for Wireshark, with the payloads that switches do not read. Raises LabError."""
    words = ["--wireshark", str(script.absolute()), "--wireshark-with", str(PAYLOADS), "-I", str(SOURCE.parent)]
    defines = [word for name, value in _defines(raft_port).items() for word in ("-D", f"{name}={value}")]
    command = [sys.executable, "-m", "p4compiler", str(SOURCE), *words, *defines]
    result = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LabError(result.stderr.strip() or f"p4compiler ended with {result.returncode}")
    paths.give(script)


def _defines(raft_port: int) -> dict[str, int]:
    return {"RAFT_PORT": raft_port, "CPU_PORT": configs.CPU_PORT}


def _stamp(compiler: Compiler, defines: dict[str, int]) -> str:
    digest = hashlib.sha256(repr((compiler, sorted(defines.items()))).encode())
    for path in _inputs(compiler):
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    if compiler == "p4c":
        binary = os.stat(shutil.which(BMV2_COMPILER) or BMV2_COMPILER)
        digest.update(repr((binary.st_size, binary.st_mtime_ns)).encode())
    return digest.hexdigest()


def _inputs(compiler: Compiler) -> Iterable[Path]:
    yield from sorted(SOURCE.parent.rglob("*.p4"))
    if compiler == "p4compiler":
        folder = paths.ROOT / "p4compiler"
        yield from sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".p4"))
