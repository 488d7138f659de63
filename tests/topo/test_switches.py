"""How switches are started, with a script in BMv2's place, and what is said of one that ends at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.topo.standin import simple_switch_grpc
from topo.errors import LabError
from topo.lab import switches, waiting
from topo.lab.process import Child
from topo.topology import Switch

PORTS = {1: "s2-eth1", 2: "s2-eth2"}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def child(tools: Path, line: list[str]) -> Child:
    return Child("s2", "switch", line, tools.parent / "s2.log", os.environ, tools)


@pytest.mark.parametrize("thrift", [True, False], ids=["with Thrift", "without Thrift"])
def test_the_thrift_port_is_given_to_a_bmv2_that_knows_it(tools: Path, thrift: bool) -> None:
    simple_switch_grpc(tools, thrift=thrift, then="echo serves")
    line = switches.command("bmv2", Switch("s2", 2), PORTS)
    assert line[:4] == ["simple_switch_grpc", "--no-p4", "--device-id", "2"]
    assert line[line.index("-i") :] == [
        *("-i", "1@s2-eth1", "-i", "2@s2-eth2", "--"),
        *("--grpc-server-addr", "127.0.0.1:9560", "--cpu-port", "510"),
    ]
    assert line[4 : line.index("-i")] == (["--thrift-port", "9091"] if thrift else [])
    assert ("Thrift" in switches.ports_of("bmv2", Switch("s2", 2))) is thrift
    started = child(tools, line)
    started.start()
    assert started.wait(60) and started.last_words() == "  serves"


def test_the_embedded_switch_is_not_asked_for_thrift(tools: Path) -> None:
    assert "--thrift-port" not in switches.command("embedded", Switch("s2", 2), PORTS)
    assert list(switches.ports_of("embedded", Switch("s2", 2))) == ["P4Runtime"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "#!/bin/sh\necho 'libfoo.so: cannot open shared object file' >&2; exit 127\n",
            "127: libfoo.so: cannot open",
        ),
        ("#!/bin/sh\n", "exit code 0: it says nothing"),
        ("#!/nonexistent\n", "cannot be run: No such file or directory"),
    ],
)
def test_a_bmv2_that_does_not_even_run_is_told(tools: Path, script: str, told: str) -> None:
    path = tools / "simple_switch_grpc"
    path.write_text(script)
    path.chmod(0o755)
    with pytest.raises(LabError, match=r"simple_switch_grpc --help") as failed:
        switches.command("bmv2", Switch("s2", 2), PORTS)
    assert told in str(failed.value)


def test_what_a_switch_printed_before_it_ended_is_shown(tools: Path) -> None:
    """Its first lines, too: there it says what it did not understand, and then all its options."""
    simple_switch_grpc(tools, thrift=False)
    ended = child(tools, ["simple_switch_grpc", "--no-p4", "--thrift-port", "9091"])
    ended.start()
    with pytest.raises(LabError) as failed:
        waiting.until("programmed switch", lambda: None, [ended])
    text = str(failed.value)
    assert text.startswith("s2 ended while the lab waited for programmed switch: exit code 1; its last lines, of ")
    lines = text.splitlines()[1:]
    assert lines[0] == "  Error while parsing command line arguments"
    assert lines[4] == "  ..." and lines[-1] == "    --grpc-server-addr arg" and len(lines) == 13


def test_a_program_that_cannot_be_started_is_told(tools: Path) -> None:
    assert shutil.which("no-such-switch") is None
    with pytest.raises(LabError, match="s2 cannot be started: no-such-switch: No such file or directory"):
        child(tools, ["no-such-switch"]).start()
