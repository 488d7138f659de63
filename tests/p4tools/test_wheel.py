"""The P4 tools as users get them: built, installed into an environment of their own, used from another folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.p4switch.client import connect
from tests.p4switch.conftest import Program

REPOSITORY = Path(__file__).parents[2]
PAIRS = REPOSITORY / "tests" / "stf"
COMMANDS = ("p4c-lite", "p4switch", "p4stf", "p4trace")
WAIT_S = 120


Done = subprocess.CompletedProcess[str]


def command(words: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> Done:
    return subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT_S
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheel` builds."""
    folder = tmp_path_factory.mktemp("p4tools")
    built = command([REPOSITORY / "scripts" / "wheel.sh", folder], folder, dict(os.environ))
    assert built.returncode == 0, built.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


def needed_by(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    return [Requirement(one) for one in re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)]


def provide(needed: Sequence[Requirement], site: Path) -> None:
    """Link what is needed, and what that needs, from the checkout's environment, as pip would download it."""
    waiting, seen = list(needed), set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in seen or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        found = metadata.distribution(name)
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(str(found.locate_file(top)))
        waiting += map(Requirement, found.requires or ())


@dataclass(frozen=True)
class Installed:
    """An environment with the tools, and a folder elsewhere to use them in."""

    python: Path
    folder: Path
    environment: dict[str, str]

    def run(self, *words: str | Path) -> Done:
        return command(words, self.folder, self.environment)

    @property
    def cache(self) -> Path:
        return Path(self.environment["XDG_CACHE_HOME"])


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel and what it needs, and nothing else of the checkout's."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    site = subprocess.check_output(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    provide(needed_by(wheel), Path(site.strip()))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def installed(environment: Path, cache: Path, tmp_path: Path) -> Installed:
    """With a lab's sources in a folder of their own."""
    folder = tmp_path / "lab"
    folder.mkdir()
    for name in ("table_exact.p4", "table_exact.stf", "blocks.p4", "types.p4"):
        shutil.copy(PAIRS / name, folder / name.replace("table_exact", "basic"))
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    clean = {"PATH": path, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(cache)}
    return Installed(environment / "bin" / "python", folder, clean)


def sources() -> set[str]:
    """The files of both packages in the checkout."""
    kinds = {".py", ".c", ".h", ".p4", ".lua"}
    return {
        str(path.relative_to(REPOSITORY))
        for room in ("p4compiler", "p4switch")
        for path in (REPOSITORY / room).rglob("*")
        if path.suffix in kinds
    }


def test_sdist_and_wheel_hold_both_packages_whole_and_nothing_else(dist: Path, wheel: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert sources() <= packed and {"LICENSE", "README.md", "pyproject.toml"} <= packed
    with zipfile.ZipFile(wheel) as unzipped:
        names = {name for name in unzipped.namelist() if ".dist-info/" not in name}
    assert names == sources()


def test_it_needs_three_packages_in_the_checkout_s_ranges(wheel: Path) -> None:
    needed = {str(one) for one in needed_by(wheel)}
    assert {Requirement(one).name for one in needed} == {"finsy", "grpcio", "protobuf"}
    text = (REPOSITORY / "pyproject.toml").read_text()
    ranges = {Requirement(one) for one in re.findall(r'"((?:finsy|grpcio|protobuf)[<>=][^"]*)"', text)}
    assert {Requirement(one) for one in needed} == ranges


def test_the_commands_are_the_installed_ones(installed: Installed) -> None:
    found = installed.run(
        "python", "-c", "import p4compiler, p4switch; print(p4compiler.__file__, p4switch.__file__)"
    )
    assert found.returncode == 0 and str(REPOSITORY) not in found.stdout, found
    for name in COMMANDS:
        told = installed.run(name, "--help")
        assert told.returncode == 0 and told.stdout.startswith(f"usage: {name} "), told
    for name in ("p4c-lite", "p4switch"):
        assert installed.run(name, "--version").stdout == f"{name} 0.1.0\n"


@contextmanager
def started(installed: Installed, words: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that ends with the block, and the line in which the switch says that it is ready."""
    running = subprocess.Popen(
        words,
        cwd=installed.folder,
        env=installed.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        ready = next((line for line in running.stdout if line.startswith("p4switch ready: ")), "")
        assert ready, running.communicate(timeout=WAIT_S)
        yield running, ready
    finally:
        running.terminate()
        running.communicate(timeout=WAIT_S)


def makefile() -> str:
    """The lab's Makefile of docs/p4-tools.md."""
    text = (REPOSITORY / "docs" / "p4-tools.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```make\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


async def test_a_lab_s_makefile_compiles_and_runs_the_switch_that_a_client_fills(installed: Installed) -> None:
    (installed.folder / "Makefile").write_text(makefile())
    made = installed.run("make", "build/basic.json")
    assert (made.returncode, made.stderr) == (0, "")
    program = Program(installed.folder / "build/basic.json", installed.folder / "build/basic.p4.p4info.txtpb")
    words = [sys.executable, "-m", "p4compiler", "basic.p4", "-o", "other"]
    subprocess.run(words, cwd=installed.folder, check=True)
    assert program.json.read_bytes() == (installed.folder / "other/basic.json").read_bytes()
    assert program.p4info.read_bytes() == (installed.folder / "other/basic.p4info.txtpb").read_bytes()

    words = ["p4switch", "--device-id", "1", "--log-flush", "build/basic.json"]
    with started(installed, [*words, "--", "--grpc-server-addr", "127.0.0.1:0"]) as (running, ready):
        async with connect(ready.split("P4Runtime on ")[1].split(",")[0], program.names) as client:
            await client.become_primary()
            await client.push(program.config)
            entry = program.names.entry("t", {1: 5}, program.names.action("set", 0x55))
            await client.insert(entry)
            assert await client.read(program.names.entry("t")) == [entry]
        running.terminate()
        assert running.stderr is not None
        assert (
            running.stderr.read() == "p4switch: note: --log-flush does nothing here: each line is written at once\n"
        )
        assert running.wait(WAIT_S) == 0


def test_the_lab_s_run_target_starts_the_switch(installed: Installed) -> None:
    (installed.folder / "Makefile").write_text(makefile())
    pid = installed.folder / "pid"
    with started(installed, ["make", f"SWITCH=echo $$$$ > {pid}; exec p4switch", "run"]) as (running, ready):
        assert "build/basic.json" in ready
        os.kill(int(pid.read_text()), 15)
        assert running.wait(WAIT_S) == 0


def test_stf_tests_pass_or_say_what_differs_and_nothing_is_written_but_the_cache(installed: Installed) -> None:
    before = sorted(installed.folder.rglob("*"))
    passed = installed.run("p4stf", "basic.p4", "basic.stf")
    assert (passed.returncode, passed.stdout) == (0, "ok   basic.stf\n"), passed
    assert list(installed.cache.iterdir()) == [installed.cache / "p4lite"]
    assert list((installed.cache / "p4lite").glob("*/program.so"))
    assert sorted(installed.folder.rglob("*")) == before and not Path(installed.environment["HOME"]).exists()

    text = (installed.folder / "basic.stf").read_text()
    (installed.folder / "wrong.stf").write_text(text.replace("expect 2 00 05 00 55", "expect 2 00 05 00 54"))
    failed = installed.run("p4stf", "basic.p4", "wrong.stf")
    assert failed.returncode == 1 and "differs at byte 3" in failed.stdout, failed


def test_a_packet_s_way_is_told(installed: Installed) -> None:
    told = installed.run("p4trace", "basic.p4", "--entries", "basic.stf")
    assert told.returncode == 0, told.stderr
    assert "table" in told.stdout and "parser" in told.stdout, told.stdout
