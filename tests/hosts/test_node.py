"""One node: its start and its end, its disk, its control socket."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hosts import config
from hosts.client.blocking import ClientError
from hosts.control import socket as control
from hosts.control.socket import ControlServer
from hosts.node import Node, NodeError
from hosts.raft.core import Ready
from hosts.raft.message import Entry, EntryKind, HardState
from hosts.service import values
from hosts.storage.log import DiskLog, LogError
from hosts.storage.log_writer import Writer, merge
from topo import paths


class StallingLog:
    """A real log whose disk can be made to hang, or to fail."""

    def __init__(self, folder: Path) -> None:
        self.inner = DiskLog.open(folder)
        self.hard_state, self.entries, self.notes = self.inner.hard_state, self.inner.entries, self.inner.notes
        self.log_id, self.snapshot = self.inner.log_id, self.inner.snapshot
        self.runs = threading.Event()
        self.runs.set()
        self.fails = False

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        self.runs.wait()
        if self.fails:
            raise LogError("/some/file: No space left on device")
        self.inner.append(hard_state, entries)

    def close(self) -> None:
        self.inner.close()


class Threads:
    """A cluster of nodes, each in a thread of this process."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.logs: dict[int, StallingLog] = {}
        self.nodes: dict[int, Node] = {}
        self.ends: dict[int, Exception | None] = {}
        cluster = config.load(made.config)
        for member in made.members:
            self.nodes[member] = Node(cluster, member, lambda folder, member=member: self.open(folder, member))
        self.threads = {m: threading.Thread(target=self.run, args=(m,)) for m in self.nodes}
        for thread in self.threads.values():
            thread.start()

    def open(self, folder: Path, member: int) -> StallingLog:
        self.logs[member] = StallingLog(folder)
        return self.logs[member]

    def run(self, member: int) -> None:
        try:
            self.nodes[member].run()
            self.ends[member] = None
        except NodeError as error:
            self.ends[member] = error

    def stop(self) -> None:
        for member, node in self.nodes.items():
            self.logs[member].runs.set()
            node.stop()
            self.threads[member].join()
            node.close()

    def leader(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for member in self.nodes:
                status = self.made.group_status(member)
                if status and status["role"] == "leader" and status["commit"]:
                    return member
            time.sleep(0.02)
        raise AssertionError("no leader")


@pytest.fixture
def threads(make_cluster: Callable[..., Any]) -> Iterator[Threads]:
    # The election timeout has room for threads that share one interpreter.
    made = Threads(make_cluster(extra="election_timeout_ms: 600"))
    yield made
    made.stop()


@pytest.mark.parametrize("whose", ["leader", "follower"])
def test_a_stalled_disk_silences_nobody(threads: Threads, whose: str) -> None:
    made = threads.made
    with made.client() as client:
        term = client.append(0).term
        leader = threads.leader()
        stalled = leader if whose == "leader" else leader % 3 + 1
        threads.logs[stalled].runs.clear()
        end = time.monotonic() + 2.5
        count = 1
        while time.monotonic() < end:
            assert client.append(count).served_by == leader, "two other disks suffice"
            count += 1
            time.sleep(0.05)
        status = made.group_status(stalled)
        assert status["unwritten"] > 0 and status["durable_index"] < status["last_index"]
        if whose == "follower":
            progress = made.group_status(leader)["progress"][str(stalled)]
            assert progress["silent_ticks"] < 60, "it answers heartbeats"
        threads.logs[stalled].runs.set()
        assert client.append(count).term == term, "no election"
    ends = {made.group_status(member)["term"] for member in made.members}
    assert ends == {term}


def test_acknowledgements_wait_for_the_disk(threads: Threads) -> None:
    made = threads.made
    with made.client() as client:
        client.append("before")
        leader = threads.leader()
        for member in made.members:
            if member != leader:
                threads.logs[member].runs.clear()
        commit = made.group_status(leader)["commit"]
        with pytest.raises(ClientError, match="may still be committed"):
            client.wait(client.submit_append("only one disk has this", timeout_s=1.0))
    assert made.group_status(leader)["commit"] == commit
    assert made.group_status(leader)["role"] == "leader"


def test_a_failing_disk_ends_the_node(threads: Threads) -> None:
    made = threads.made
    with made.client() as client:
        client.append("before")
        victim = threads.leader()
        threads.logs[victim].fails = True
        client.append("after")
        threads.threads[victim].join(60)
        assert "No space left" in str(threads.ends[victim])
        assert client.append("later").served_by != victim


def run_node(config_file: Path, member: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hosts.node", "--config", str(config_file), "--id", str(member)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def one_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 1
    assert ended.stdout == "" and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    return ended.stderr


def test_a_port_in_use(cluster: Any) -> None:
    cluster.leader()
    assert (
        f"127.0.0.1:{cluster.port}" in (text := one_line(run_node(cluster.config, 1))) and "another program" in text
    )
    assert cluster.status(1) is not None, "the running node's socket is still there"


def test_a_folder_in_use(cluster: Any) -> None:
    cluster.leader()
    other = cluster.folder / "other.yaml"
    other.write_text(cluster.config.read_text().replace("127.0.0.1", "127.0.0.77"))
    assert "another process uses this folder" in one_line(run_node(other, 1))
    assert cluster.status(1) is not None


def test_bad_starts(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster()
    text = made.config.read_text()
    assert "no member 9" in one_line(run_node(made.config, 9))
    assert "cannot be read" in one_line(run_node(made.folder / "none.yaml", 1))
    made.config.write_text(text.replace("groups:", "grops:"))
    assert "cluster.yaml:4: grops" in one_line(run_node(made.config, 1))
    made.config.write_text(text.replace("127.0.0.1", "192.0.2.1"))
    assert "no such address" in one_line(run_node(made.config, 1))
    made.config.write_text(text.replace(str(made.folder / "nodes"), str(made.config)))
    assert "cannot be made" in one_line(run_node(made.config, 1))


def test_another_members_folder(make_cluster: Callable[..., Any]) -> None:
    """Names that were exchanged in the cluster file would let each member go on with the other one's votes."""
    made = make_cluster()
    made.start()
    with made.client() as client:
        client.append("mine")
    made.kill()
    text = made.config.read_text()
    made.config.write_text(text + "names: {1: node2, 2: node1}\n")
    told = one_line(run_node(made.config, 1))
    assert "node2/group-1 holds the log of cluster 1 group 1 member 2" in told
    made.config.write_text("cluster: 2\n" + text)
    assert "this is cluster 2" in one_line(run_node(made.config, 3))
    made.config.write_text(text)
    made.start()
    assert made.agree(1) == ["mine"]


def test_a_damaged_log(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(members=1)
    made.start()
    with made.client() as client:
        for number in range(50):
            client.append(number)
    made.kill()
    segment = min((made.folder / "nodes/node1/group-1").glob("*[0-9]*"))
    data = bytearray(segment.read_bytes())
    data[len(data.rstrip(b"\0")) // 2] ^= 1
    segment.write_bytes(data)
    text = one_line(run_node(made.config, 1))
    assert str(segment) in text and "damaged" in text


def test_a_single_member_serves(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(members=1)
    made.start()
    with made.client() as client:
        assert client.append("alone").index == 3
    assert made.agree(1) == ["alone"]


# -- writer ---------------------------------------------------------------------------------------------------------


def ready(first: int, terms: Sequence[int], state: HardState | None = None) -> Ready:
    entries = tuple(Entry(term, first + at, EntryKind.COMMAND) for at, term in enumerate(terms))
    return Ready((), state, entries, (), ())


def test_readies_merge_into_one_write() -> None:
    state, entries = merge([ready(5, [1, 1, 1], HardState(1, 1)), ready(8, [1]), ready(6, [2, 2], HardState(2, 0))])
    assert state == HardState(2, 0)
    assert [(entry.index, entry.term) for entry in entries] == [(5, 1), (6, 2), (7, 2)]
    state, entries = merge([ready(5, [1, 1]), ready(3, [2]), ready(4, [2])])
    assert state is None and [(entry.index, entry.term) for entry in entries] == [(3, 2), (4, 2)]
    assert merge([ready(1, [])]) == (None, [])


def test_work_that_piles_up_is_written_at_once() -> None:
    class Log:
        def __init__(self) -> None:
            self.appends: list[list[int]] = []
            self.entered, self.may_go, self.closed = threading.Event(), threading.Event(), False

        def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
            self.entered.set()
            self.may_go.wait()
            self.appends.append([entry.index for entry in entries])

        def close(self) -> None:
            self.closed = True

    log = Log()
    writer = Writer({1: log})
    given = [ready(index, [1]) for index in range(1, 6)]
    writer.write(1, given[0])
    assert log.entered.wait(60)
    for item in given[1:]:
        writer.write(1, item)
    log.may_go.set()
    done: list[tuple[int, Ready]] = []
    while len(done) < 5:
        assert select.select([writer.wakeup], [], [], 60)[0]
        done += writer.take_done()
    assert [item for _, item in done] == given
    assert log.appends == [[1], [2, 3, 4, 5]]
    writer.close(60)
    assert log.closed


# -- control socket -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(path: Path, answer: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> Iterator[ControlServer]:
    epoll, ending = select.epoll(), threading.Event()
    server = ControlServer(path, epoll, answer)

    def loop() -> None:
        while not ending.is_set():
            for fd, _ in epoll.poll(0.05):
                assert server.owns(fd)
                server.handle()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield server
    finally:
        ending.set()
        thread.join()
        server.close()
        epoll.close()


def test_long_paths_and_long_answers(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    path.touch()
    made: list[int] = []

    def answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for number in range(request["count"]):
            made.append(number)
            yield {"number": number, "padding": "p" * 1000}

    with served(path, answer):
        assert [line["number"] for line in control.ask(path, {"count": 3000})] == list(range(3000))
        made.clear()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lazy:
            descriptor = os.open(folder, os.O_RDONLY)
            lazy.connect(f"/proc/self/fd/{descriptor}/control.sock")
            os.close(descriptor)
            lazy.sendall(b'{"count": 1000000}\n')
            time.sleep(0.5)
            assert 0 < len(made) < 10_000, "made only as fast as it is read"
            assert next(control.ask(path, {"count": 1}))["number"] == 0, "others are served meanwhile"
        assert [line["number"] for line in control.ask(path, {"count": 2})] == [0, 1]
    assert not path.exists()


def test_who_asks_and_does_not_read_is_not_heard(tmp_path: Path) -> None:
    asked: list[int] = []

    def answer(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        asked.append(len(asked))
        return iter([{"number": len(asked), "padding": "p" * 1000}])

    path = tmp_path / "c"
    with served(path, answer), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
        client.setblocking(False)
        sent = 0
        quiet = time.monotonic()
        while time.monotonic() - quiet < 1.0:
            with contextlib.suppress(BlockingIOError):
                sent += client.send(b"{}\n" * 20_000)
                quiet = time.monotonic()
            assert sent < 10_000_000, "requests are taken without end"
        assert 0 < len(asked) < 5_000, "answers are made only as fast as they are read"
        assert next(control.ask(path, {}))["padding"], "others are served meanwhile"


def test_what_is_no_request(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with served(path, lambda request: iter([{"ok": True}])):
        for line in (b"nonsense\n", b"[1]\n", b"\xff\n", b'{"a":' * 100_00 + b"\n"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.connect(str(path))
                client.sendall(line + b'{"cmd": "fine"}\n')
                answers = client.makefile()
                assert json.loads(answers.readline())["ok"] is False
                assert json.loads(answers.readline())["ok"] is True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
            with contextlib.suppress(OSError):
                client.sendall(b"x" * 1_000_000)
            client.settimeout(60)
            with contextlib.suppress(ConnectionError):
                assert client.recv(1) == b""
        assert list(control.ask(path, {})) == [{"ok": True}]


def test_what_a_node_shows(cluster: Any) -> None:
    with cluster.client() as client:
        client.append({"a": b"\x01"})
        client.put("k", [1])
    cluster.agree(1)
    leader = cluster.leader()
    item, last = cluster.ask(leader, cmd="log")
    assert item["type"] == "map" and item["value"] == {"a": {"$bytes": "01"}} and item["position"] == 0
    assert last["ok"] and last["count"] == 1
    *raw, last = cluster.ask(leader, cmd="raw", group=1)
    assert last["count"] == len(raw) and [entry["index"] for entry in raw] == list(range(1, len(raw) + 1))
    kinds = [entry.get("operation", entry["kind"]) for entry in raw if entry["kind"] not in ("noop", "configuration")]
    assert kinds == ["open_session", "append", "put"] and raw[0]["kind"] == "configuration"
    assert cluster.ask(leader, cmd="kv")[0] == {"key": "k", "type": "list", "value": [1]}
    long = ["x" * 3000, {1: b"y"}]
    with cluster.client() as client:
        client.put("k", long)
        client.put("l" * 3000, 7)
        client.put(bytes(3000), long)
    end = cluster.status(leader)["groups"][0]["last_index"]
    *brief, _ = cluster.ask(leader, cmd="raw", group=1, brief=True, **{"from": end - 1})
    assert [entry["index"] for entry in brief] == [end - 1, end]
    assert brief[0]["value"] == 7 and re.fullmatch(r"\d+ bytes", brief[0]["key"])
    assert re.fullmatch(r"\d+ bytes", brief[1]["value"])
    pairs = {str(line.get("key"))[:9]: line for line in cluster.ask(leader, cmd="kv")[:-1]}
    tree = values.to_json(long)
    assert pairs["k"] == {"key": "k", "type": "list", "value": tree}
    assert pairs["l" * 9] == {"key": "l" * 3000, "type": "int", "value": 7}
    assert pairs["{'$bytes'"] == {"key": {"$bytes": "00" * 3000}, "type": "list", "value": tree}
    status = cluster.status(leader)
    assert status["id"] == leader and status["name"] == f"node{leader}" and status["pid"]
    group = status["groups"][0]
    assert {"group", "role", "term", "leader", "commit", "applied", "last_index"} <= set(group)
    assert group["values"] == 1 and group["keys"] == 3 and group["leader"] == leader
    for wrong in (
        {"cmd": "log", "group": 9},
        {"cmd": "nonsense"},
        {},
        {"cmd": ["log"]},
        {"cmd": "log", "group": "1"},
    ):
        (answer,) = cluster.ask(leader, **wrong)
        assert answer["ok"] is False and answer["error"]


SUSPENDED_S = 1000
"""For which a machine was suspended."""


@pytest.mark.root
def test_time_in_which_the_machine_was_suspended_counts() -> None:
    told = "import time\nfrom hosts.node import Node, boottime\nprint(boottime() - time.monotonic())"
    before = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    # In a time namespace so much more has passed by CLOCK_BOOTTIME than by CLOCK_MONOTONIC (time_namespaces(7)).
    command = ["unshare", "--time", "--boottime", str(SUSPENDED_S), sys.executable, "-c", told]
    given = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert float(given.stdout) - before == pytest.approx(SUSPENDED_S, abs=1)
