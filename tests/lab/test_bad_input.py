"""What people and strangers get wrong in a running lab: one clear line, and the lab goes on."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.conftest import Lab, wait
from topo import paths
from topo.lab import configs
from topo.lab.waiting import node_socket

NOBODY = 65534


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("send", "1", "--from", "h9"), "unknown host 'h9': the hosts are h1, h11, h2, h22, h3"),
        (("send", "1", "--to", "h9"), "unknown host 'h9'"),
        (("send", "1", "--to", "h11"), "h11 runs no node: the members are h1, h2, h3"),
        (("send", "1", "--to", "10.0.1.1:no"), "'no' is no port"),
        (("send", "1", "--group", "7"), "there is no group 7; there are 1"),
        (("member", "add", "h22", "--group", "7"), "there is no group 7; there are 1"),
        (("soak", "--check", "/nonexistent.jsonl"), "cannot read /nonexistent.jsonl"),
        (("soak", "--minutes", "1"), "a lab runs already"),
        (("send",), "give a VALUE"),
        (("send", "zz", "--hex"), "not hexadecimal"),
        (("send", "1", "--cluster", "/nonexistent.yaml"), "/nonexistent.yaml"),
        (("get", "k", "--lease"), "--lease: reads are by quorum here; 'reads: lease' in the topology file turns"),
        (("get", "k", "--lease", "--cluster", "CLUSTER"), "'reads: lease' in the cluster file turns leases on"),
        (("log", "h11"), "h11 runs no node"),
        (("log", "s1"), "unknown host 's1'"),
        (("log", "h1", "--group", "7"), "no group 7"),
        (("tables", "s9"), "unknown switch 's9'"),
        (("node", "kill", "h11"), "node h11 does not run"),
        (("node", "start", "h1"), "node h1 runs already"),
        (("switch", "explode", "s1"), "unknown action 'explode'"),
        (("switch", "kill", "s4"), "unknown switch 's4'"),
        (("link", "down", "h1", "s2"), "no link between h1 and s2"),
        (("link", "down", "h1", "h7"), "unknown host or switch 'h7'"),
        (("partition", "h1", "h2"), "partition h1 h2 / h3"),
        (("partition", "h1", "/", "h1"), "two sides"),
        (("partition", "h1", "/", "h8"), "unknown host 'h8'"),
        (("capture", "eth7"), "unknown interface 'eth7'"),
        (("exec", "h8", "true"), "unknown host 'h8'"),
        (("exec", "h1", "--", "no-such-command"), "cannot run no-such-command"),
        (("node", "run", "9", "--config", "CLUSTER"), "no member has index 9"),
        (("node", "run", "--config", "CLUSTER", "--id", "9"), "no member has id 9"),
        (("node", "run", "--config", "CLUSTER"), "addresses do not tell"),
        (("node", "run", "0", "--config", "CLUSTER"), "no such address"),
    ],
)
def test_one_clear_line(lab: Lab, arguments: tuple[str, ...], told: str) -> None:
    done = lab.try_(*(str(paths.cluster()) if word == "CLUSTER" else word for word in arguments))
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


def as_nobody(*arguments: str) -> str:
    """The one line with which a command refuses a user who is neither root nor the lab's."""
    done = subprocess.run(
        [
            *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
            *(sys.executable, "-m", "topo.cli", *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=paths.ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    return line


def test_who_is_not_root_is_told_what_to_type(lab: Lab, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for arguments in (
        ("lab",),
        ("lab", "--detach"),
        ("send", "1"),
        ("exec", "h1", "true"),
        ("stop",),
        ("ping",),
        ("soak", "--minutes", "0.1"),
    ):
        line = as_nobody(*arguments)
        assert "needs root; type: sudo " in line and arguments[0] in line
    assert lab.leader()


@pytest.mark.parametrize(
    "arguments",
    [
        ("leader",),
        ("leader", "--json"),
        ("member", "list"),
        ("member", "remove", "h3"),
        ("member", "add", "h22"),
        ("transfer", "h1"),
        ("log", "h1"),
    ],
)
def test_whose_lab_it_is_not_is_told_so(lab: Lab, arguments: tuple[str, ...]) -> None:
    """And not that there is no leader."""
    line = as_nobody(*arguments)
    assert "another user's: use sudo" in line and "no leader" not in line


def test_a_damaged_log_is_refused_and_named(lab: Lab) -> None:
    leader = lab.leader()
    victim = next(name for name in lab.live.topology.members if name != leader)
    for number in range(5):
        lab.run("send", f"before the damage {number}")
    wait("applied values", lambda: "before the damage 4" in lab.values(victim))
    lab.run("node", "kill", victim)
    folder = paths.nodes() / victim / "group-1"
    segment = max(folder.iterdir(), key=lambda file: file.stat().st_size)
    sound = segment.read_bytes()
    damaged = bytearray(sound)
    damaged[len(sound.rstrip(b"\0")) // 3] ^= 0x40
    segment.write_bytes(damaged)
    try:
        refused = lab.try_("node", "start", victim)
        assert refused.returncode == 1
        assert segment.name in refused.stderr and "Traceback" not in refused.stderr
        lab.run("send", "two of three go on")
    finally:
        segment.write_bytes(sound)
    lab.run("node", "start", victim)
    wait("caught-up node", lambda: "two of three go on" in lab.values(victim))


def test_garbage_on_every_unix_socket(lab: Lab) -> None:
    leader = lab.leader()
    sockets = [node_socket(name) for name in lab.live.topology.members]
    sockets += [paths.controller_socket(), paths.lab_socket()]
    noise = random.Random(1).randbytes(100_000)
    for path in sockets:
        for garbage in (b"\n", b"null\n", b'{"cmd": 3}\n', b'{"cmd": "log", "group": []}\n', b"\xff\n", noise, b"["):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(os.path.relpath(path))
                try:
                    client.sendall(garbage)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                except ConnectionError:
                    continue
    assert lab.leader() == leader
    assert all(process.alive for process in lab.live.record.processes)


def test_garbage_on_every_p4runtime_port(lab: Lab) -> None:
    noise = random.Random(2).randbytes(10_000)
    for switch in lab.live.topology.switches:
        host, _, port = configs.grpc_address(switch.device_id).partition(":")
        for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise, noise):
            with socket.create_connection((host, int(port)), timeout=20) as client:
                try:
                    client.sendall(garbage)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                except OSError:
                    continue
    lab.run("send", "still programmed")
    assert all(switch["programmed"] for switch in lab.json("status")["switches"].values())


def test_a_vanished_part_is_told(lab: Lab) -> None:
    lab.run("switch", "kill", "s3")
    told = lab.try_("tables", "s3")
    assert told.returncode == 1 and "no switch answers" in told.stderr
    assert "error" in lab.json("counters")["s3"]
    assert "dead" in lab.json("status")["switches"]["s3"]["state"]
    lab.run("controller", "kill")
    assert "dead" in lab.run("status")
    follower = next(name for name in lab.live.topology.members if name != "h3")
    lab.run("node", "kill", follower)
    told = lab.try_("log", follower)
    assert told.returncode == 1 and f"node {follower} does not answer" in told.stderr
    no_leader = lab.try_("leader")
    assert no_leader.returncode == 1 or "leads" in no_leader.stdout
