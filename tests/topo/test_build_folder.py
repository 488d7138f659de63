"""A build folder that cannot be used: read-only, full, no folder at all. One line each, which says what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked
from topo import paths

STARTS = [("lab",), ("lab", "--detach"), ("soak", "--minutes", "0.1")]
SIM = ("sim", "--seeds", "1", "--jobs", "1")


def refused(build: Path, *arguments: str, module: str = "topo.cli", mount: str = "") -> str:
    """The one line of an error. ``mount``: options of a tmpfs that is mounted on the folder, for the command only."""
    line = [sys.executable, "-m", module, *arguments]
    if mount:
        fill = '&& { head -c 4M /dev/zero >"$0/fill" 2>/dev/null || true; }' if mount == FULL else ""
        script = f'mount -t tmpfs -o {mount} tmpfs "$0" {fill} && exec "$@"'
        line = ["unshare", "--mount", "--net", "sh", "-c", script, str(build), *line]
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=paths.ROOT,
        env={**os.environ, "SWITCHRAFT_BUILD": str(build)},
        check=False,
    )
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


READ_ONLY, FULL = "ro", "size=1M"


@pytest.mark.root
@pytest.mark.parametrize("arguments", [*STARTS, SIM, ("sim", "--replay", "1")])
def test_read_only(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    line = refused(tmp_path, *arguments, mount=READ_ONLY)
    assert f"the build folder {tmp_path} cannot be used: " in line
    assert "Read-only file system: name another folder in SWITCHRAFT_BUILD" in line


@pytest.mark.root
@pytest.mark.parametrize("arguments", [("lab", "--detach", "--switch", "embedded"), SIM])
def test_full(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    line = refused(tmp_path, *arguments, mount=FULL)
    assert f"the build folder {tmp_path} cannot be used: " in line
    assert "No space left on device: make room there, or name another folder in SWITCHRAFT_BUILD" in line


@pytest.mark.root
@pytest.mark.parametrize("arguments", [*STARTS, SIM])
def test_a_file(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    file = tmp_path / "file"
    file.touch()
    line = refused(file, *arguments)
    assert f"the build folder {file} cannot be used: it is a file: name another" in line


@pytest.mark.root
def test_where_no_folder_can_be() -> None:
    line = refused(Path("/proc/x"), "lab", "--detach")
    assert "the build folder /proc/x cannot be used: No such file or directory: name another" in line


@pytest.mark.root
def test_the_demo_tells_it_in_its_own_way(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = forked.run("topo.cli", "demo", SWITCHRAFT_BUILD=str(file))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"the build folder {file} cannot be used: it is a file: name another" in done.stdout


def test_commands_that_only_look_say_so_too(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for arguments in (("status",), ("stop",), ("leader",)):
        assert f"the build folder {file} cannot be used: it is a file: name another" in refused(file, *arguments)


def test_the_simulator_by_its_own_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert refused(file, *SIM[1:], module="sim").startswith("sim: the build folder ")


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    return tmp_path


def test_errors_of_other_kinds_are_left_alone(build: Path) -> None:
    """They are faults of ours, and a traceback tells where."""
    for error in (
        OSError("a text alone"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", str(build / "lab" / "x")),
        PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EBADF, "Bad file descriptor", 7),
    ):
        assert paths.fault(error) is None, error


def test_a_full_disk_elsewhere_is_named(build: Path) -> None:
    told = paths.fault(OSError(errno.ENOSPC, "No space left on device", "/mnt/run.rec"))
    assert told == "/mnt/run.rec: No space left on device: make room there, or choose another place"


def test_another_users_folder_wants_sudo(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = paths.fault(PermissionError(errno.EACCES, "Permission denied", str(build / "soak")))
    assert told == (
        f"the build folder {build} cannot be used: soak: Permission denied: use sudo, or name another folder in"
        " SWITCHRAFT_BUILD"
    )
