"""The command line where no lab runs: help, and one clear line for what cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p4switch.modules import run_module
from tests import forked
from topo import paths

COMMANDS = [
    "lab",
    "stop",
    "demo",
    "status",
    "leader",
    "counters",
    "tables",
    "log",
    "send",
    "put",
    "get",
    "delete",
    "node",
    "switch",
    "controller",
    "link",
    "partition",
    "heal",
    "member",
    "transfer",
    "ping",
    "capture",
    "exec",
    "client",
    "metrics",
]


def switchraft(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return forked.run("topo.cli", *arguments, **{"SWITCHRAFT_BUILD": str(tmp_path), **environment})


def test_help_lists_every_command(tmp_path: Path) -> None:
    shown = switchraft(tmp_path, "--help")
    assert shown.returncode == 0
    listed = {line.split()[0] for line in shown.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert set(COMMANDS) <= listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    shown = switchraft(tmp_path, command, "--help")
    assert shown.returncode == 0
    assert f"Usage: switchraft {command}" in shown.stdout


def test_modules_are_those_of_the_checkout_whatever_the_current_folder_holds(tmp_path: Path) -> None:
    for name in ("json", "random", "topo", "typer"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the module that was meant')")
    shown = subprocess.run([*run_module("topo.cli"), "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and "Usage: switchraft" in shown.stdout, shown.stderr


def test_what_no_terminal_can_show_is_printed_as_escapes() -> None:
    told = "from topo import cli\ncli.app = lambda **_: print('\\ud800', 'ä')\ncli.main()"
    for encoding, shown in (("utf-8", "\\ud800 ä\n"), ("ascii", "\\ud800 \\xe4\n")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", told], cwd=paths.ROOT, env=environment, capture_output=True)
        assert done.stdout.decode() == shown, done.stderr


@pytest.mark.parametrize("words", [("lesson", "list"), ("--help",)])
def test_a_full_device_is_told_and_a_reader_that_goes_is_not(words: tuple[str, ...]) -> None:
    command = [*run_module("topo.cli"), *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    told = "switchraft: what it says cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys, topo.cli; "
        "print([name for name in ('rich', 'grpc', 'finsy', 'mininet', 'pydantic', 'networkx', 'scapy', 'yaml',"
        " 'aiohttp', 'prometheus_client') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("leader",),
        ("counters",),
        ("tables", "s1"),
        ("log", "h1"),
        ("send", "1"),
        ("put", "k", "1"),
        ("get", "k"),
        ("delete", "k"),
        ("node", "kill", "h1"),
        ("switch", "restart", "s1"),
        ("controller", "kill"),
        ("link", "down", "s1", "s2"),
        ("partition", "h1", "/", "h2"),
        ("heal",),
        ("ping",),
        ("capture", "s1-eth1"),
        ("exec", "h1", "--", "true"),
        ("metrics",),
    ],
)
def test_without_a_lab(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = switchraft(tmp_path, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("switchraft: ")
    assert "no lab runs" in line or "root" in line


def test_stop_without_a_lab_is_fine(tmp_path: Path) -> None:
    done = switchraft(tmp_path, "stop")
    assert (done.returncode, done.stdout.strip()) == (0, "no lab runs")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lab", "--topology", "circle"), "unknown topology 'circle'"),
        (("lab", "--topology", "c" * 5000), "unknown topology 'ccc"),
        (("lab", "--switch", "ovs"), "unknown switch 'ovs'"),
        (("lab", "--compiler", "gcc"), "unknown compiler 'gcc'"),
        (("lab", "--nodes", "few"), "--nodes few"),
        (("link", "sideways", "s1", "s2"), "unknown action 'sideways'"),
        (("frobnicate",), "No such command"),
        (("trace", "s1", "--count", "-1"), "Invalid value for '--count'"),
        (("trace", "missing.p4"), "trace: there is no file missing.p4"),
        (("trace", "p4/raft.p4"), "usage: switchraft trace"),
        (("trace", "p4/raft.p4", "--count", "1"), "--filter and --count go with a switch"),
        (("capture", "s1-eth1", "-c", "-1"), "Invalid value for '--count'"),
        (("capture", "s1-eth1", "--seconds", "-1"), "--seconds -1: choose seconds from 0 to 1000000"),
        (("capture", "s1-eth1", "--seconds", "nan"), "--seconds nan: choose seconds"),
        (("capture", "s1-eth1", "--seconds", "inf"), "--seconds inf: choose seconds"),
        (("get", "k", "--timeout", "inf"), "--timeout inf: choose seconds"),
        (("metrics", "--timeout", "nan"), "--timeout nan: choose seconds from 0.01 to 60"),
        (("web", "--save", "x", "--seconds", "nan"), "--seconds nan: choose seconds"),
        (("soak", "--minutes", "inf"), "--minutes inf: choose minutes from 0.1 to 10000"),
        (("soak", "--minutes", "0"), "--minutes 0: choose minutes from 0.1"),
        (("soak", "--seed", "-1"), "Invalid value for '--seed'"),
        (("sim", "--replay", "-1"), "Invalid value for '--replay'"),
        (("sim", "--replay", "1", "--seeds", "5"), "--seeds is about many seeds, and --replay about one"),
        (("sim", "--replay", "1", "--first", "5"), "--first is about many seeds"),
        (("sim", "--web"), "--web is about one seed"),
        (("lesson", "list", "--html", "x.html"), "--html is about one lesson"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = switchraft(tmp_path, *arguments)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_bmv2_without_bmv2(tmp_path: Path) -> None:
    done = switchraft(tmp_path, "lab", "--switch", "bmv2", PATH="/usr/bin:/bin")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "p4c-bm2-ss" in line and "simple_switch_grpc" in line and "embedded switch needs neither" in line


def test_a_broken_topology_file_is_named_with_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("switches: [s1]\nhosts:\n  h1: {ip: 1.2.3, switch: s1}\ngroups: []\n")
    done = switchraft(tmp_path, "lab", "--topology", str(file))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{file}:3: hosts.h1.ip:" in line


@pytest.mark.parametrize("wanted", [None, "DEBUG"])
def test_grpc_says_nothing_of_switches_that_end_unless_it_is_asked(wanted: str | None) -> None:
    """Its own lines came between those of `switchraft web`. It looks when it is imported, so that must be later."""
    script = (
        "import os, sys, topo.cli\n"
        "topo.cli.app = lambda prog_name: print('grpc' in sys.modules, os.environ['GRPC_VERBOSITY'])\n"
        "topo.cli.main()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    environment |= {"GRPC_VERBOSITY": wanted} if wanted else {}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=paths.ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"False {wanted or 'NONE'}\n"
