"""What `switchraft metrics` makes of a lab's answers, and of answers that do not come."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from prometheus_client import exposition
from prometheus_client.parser import text_string_to_metric_families

from hosts.measures import BOUNDS_S, STAGES
from tests import forked
from tests.hosts.conftest import LocalCluster, eventually
from tests.metrics.seen import NAMES, SEEN, node
from topo import paths
from topo.metrics import exporter
from topo.metrics.catalogue import METRICS, PREFIX, Kind
from topo.metrics.exporter import Exporter
from topo.metrics.gather import Nodes, Seen
from topo.metrics.samples import Samples, samples

Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Found:
    """By name without the prefix, and labels: the value. Each is there once."""
    found: Found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def shown(seen: Seen) -> Found:
    return parsed(exposition.generate_latest(samples(seen)).decode())


def value(found: Found, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


# -- samples --------------------------------------------------------------------------------------------------------


def test_all_of_the_catalogue_is_exported_with_its_labels() -> None:
    names = {metric.name for metric in METRICS}
    assert len(names) == len(METRICS) > 40
    exported = {family.name: family for family in samples(SEEN).collect()}
    for metric in METRICS:
        family = exported[
            metric.full_name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.full_name
        ]
        assert (family.type, family.documentation) == (metric.kind.value, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), metric.name


def test_values_are_those_that_were_told() -> None:
    found = shown(SEEN)
    assert value(found, "lab_up") == value(found, "controller_up") == 1
    leader = {"node": "h1", "group": "7"}
    assert value(found, "server_is_leader", **leader) == value(found, "server_has_leader", **leader) == 1
    assert value(found, "server_is_leader", node="h2", group="7") == 0
    assert value(found, "server_commit_index", **leader) == 118
    assert value(found, "server_applied_index", **leader) == 117
    assert value(found, "server_proposals_committed_total", **leader) == 18
    assert value(found, "server_proposals_pending", **leader) == 5
    assert value(found, "server_problems", **leader) == 1
    assert value(found, "server_peer_match_index", **leader, peer="h3") == 113
    assert value(found, "network_peer_sent_bytes_total", node="h1", peer="h2") == 1002
    assert value(found, "network_fan_out_sent_bytes_total", node="h1", group="1") == 3001
    assert value(found, "network_datagrams_sent_total", node="h1", type="AppendEntries") == 30
    assert value(found, "switch_steered_total", switch="s1") == 10
    assert value(found, "switch_copies_total", switch="s1", fate="to_member") == 4
    assert value(found, "switch_copies_total", switch="s1", fate="back") == 0
    assert value(found, "switch_leader_ends_total", switch="s1", fate="told") == 2
    assert value(found, "switch_leader_ends_total", switch="s1", fate="other_port") == 0
    assert value(found, "hints_given_total", group="7", cause="cut_off") == 4
    assert value(found, "server_hints_gone_total", node="h1", group="7") == 21
    assert value(found, "switch_drops_total", switch="s1", reason="stale_term") == 2
    assert value(found, "switch_port_sent_bytes_total", switch="s1", port="1") == 4100
    assert value(found, "switch_feature_packets_total", switch="s1", feature="member_guard") == 60
    assert value(found, "switch_feature_on", switch="s2", feature="term_filter") == 0
    assert value(found, "switch_programmed", switch="s2") == value(found, "link_up", link="s1-s2") == 0


def test_buckets_of_a_histogram_add_up() -> None:
    found = shown(SEEN)
    place = {"node": "h2", "group": "7"}
    name = "disk_wal_fsync_duration_seconds"
    counts = [value(found, f"{name}_bucket", **place, le=str(bound)) for bound in BOUNDS_S]
    assert counts == [0.0, *[1.0] * (len(BOUNDS_S) - 1)], "0.2 ms, and one that is longer than all bounds"
    assert value(found, f"{name}_bucket", **place, le="+Inf") == value(found, f"{name}_count", **place) == 2
    assert value(found, f"{name}_sum", **place) == pytest.approx(10.0002)
    for stage in STAGES:
        assert value(found, "commit_stage_duration_seconds_count", **place, stage=stage) == 2


def test_what_is_known_and_zero_is_told_so_that_an_increase_is_one() -> None:
    found = shown(SEEN)
    assert value(found, "switch_drops_total", switch="s1", reason="bad_checksum") == 0
    assert value(found, "switch_messages_total", switch="s1", type="TimeoutNow") == 0
    assert value(found, "network_drops_total", node="h1", reason="not_member") == 0
    assert value(found, "network_drops_total", node="h1", reason="bad_mac") == 1
    assert value(found, "network_datagrams_received_total", node="h1", type="PreVote") == 0


def test_of_what_is_down_only_that_is_told() -> None:
    found = shown(SEEN)
    assert value(found, "node_up", node="h3") == value(found, "switch_up", switch="s2") == 0
    of_h3 = {name for name, labels in found if ("node", "h3") in labels}
    assert of_h3 == {"node_up"}
    from_s2 = {name for name, labels in found if ("switch", "s2") in labels and "controller" not in name}
    assert from_s2 == {
        "switch_up",
        "switch_programmed",
        "switch_programmings_total",
        "switch_entries",
        "switch_feature_on",
    }
    nothing = shown(Seen({"h1": "down"}, True, {"s1": "down"}, "down"))
    assert set(nothing.values()) == {0.0, 1.0} and len(nothing) == 4
    assert shown(Seen({}, lab=False)) == {("lab_up", frozenset()): 0}


def test_members_whose_names_are_not_known_have_their_ids() -> None:
    found = shown(Seen({"node1": node(1, leader=1)}, names={}))
    assert value(found, "network_peer_sent_bytes_total", node="node1", peer="3") == 1003
    assert ("lab_up", frozenset()) not in found


def test_only_the_catalogue_can_be_exported() -> None:
    made = Samples()
    with pytest.raises(ValueError, match="labels"):
        made.put("node_up", 1)
    with pytest.raises(KeyError):
        made.put("no_such_metric", 1)


# -- the exporter ---------------------------------------------------------------------------------------------------


class Looking:
    """A gatherer that notes how it was asked."""

    def __init__(self, *seen: Seen) -> None:
        self.patience: list[float] = []
        self._seen = list(seen) or [SEEN]

    async def look(self, timeout_s: float) -> Seen:
        self.patience.append(timeout_s)
        await asyncio.sleep(0)
        return self._seen[min(len(self.patience), len(self._seen)) - 1]

    async def close(self) -> None:
        pass


async def test_however_many_scrape_the_lab_is_asked_once_in_a_while() -> None:
    looking, now = Looking(), [0.0]
    exports = Exporter(looking, 1.0, clock=lambda: now[0])
    answers = await asyncio.gather(*(exports.samples() for _ in range(20)))
    assert len(looking.patience) == 1 and all(one is answers[0] for one in answers)
    now[0] = exporter.LEAST_S * 0.9
    assert await exports.samples() is answers[0]
    now[0] = exporter.LEAST_S
    assert await exports.samples() is not answers[0]
    assert len(looking.patience) == 2


async def test_prometheus_is_never_kept_waiting_for_longer_than_it_waits() -> None:
    looking, ticks = Looking(), iter(range(100))
    app = web.Application()
    app.add_routes([web.get("/metrics", Exporter(looking, 1.0, clock=lambda: float(next(ticks))).answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    async with ClientSession() as session:
        for told in ("0.5", "10", "rubbish", "-1"):
            async with session.get(url, headers={"X-Prometheus-Scrape-Timeout-Seconds": told}) as answer:
                assert answer.status == 200
        async with session.get(url) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert value(parsed(await answer.text()), "node_up", node="h1") == 1
        async with session.get(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
    await runner.cleanup()
    assert looking.patience == [0.4, 1.0, 1.0, 1.0, 1.0, 1.0]


async def test_who_does_not_answer_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    up = Seen({"h1": node(1, leader=1)}, names=NAMES)
    down = Seen({"h1": "node h1 does not answer: timed out"})
    ticks = iter(range(100))
    exports = Exporter(Looking(down, down, up, down), clock=lambda: float(next(ticks)))
    for _ in range(4):
        await exports.samples()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all(line.endswith("node h1 does not answer: timed out") for line in told)


# -- nodes that really run ------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    made = LocalCluster(tmp_path)
    made.start()
    yield made
    made.stop()


def looked(gatherer: Nodes, timeout_s: float = 10.0) -> Found:
    return shown(asyncio.run(gatherer.look(timeout_s)))


def test_nodes_without_a_lab_and_what_becomes_of_them(cluster: LocalCluster) -> None:
    leader = cluster.leader()
    with cluster.client() as client:
        for number in range(10):
            client.append(number)
    cluster.agree(10)
    gatherer = Nodes([cluster.data(member) / "control.sock" for member in cluster.members])
    found = looked(gatherer)
    for member in cluster.members:
        place = {"node": f"node{member}", "group": "1"}
        status = cluster.group_status(member)
        assert status is not None and value(found, "node_up", node=f"node{member}") == 1
        assert value(found, "server_is_leader", **place) == (member == leader)
        assert value(found, "server_applied_index", **place) == status["applied"]
        assert value(found, "server_term", **place) == status["term"]

    paused, killed = (member for member in cluster.members if member != leader)
    cluster.processes[paused].send_signal(signal.SIGSTOP)
    cluster.kill(killed)
    began = time.monotonic()
    found = looked(gatherer, 0.3)
    assert time.monotonic() - began < 20, "nobody waits for who is paused"
    assert value(found, "node_up", node=f"node{paused}") == value(found, "node_up", node=f"node{killed}") == 0
    cluster.processes[paused].send_signal(signal.SIGCONT)

    before = value(looked(gatherer), "server_proposals_committed_total", node=f"node{leader}", group="1")
    assert before >= 11
    cluster.kill()
    assert set(looked(gatherer).values()) == {0.0}
    cluster.start()
    cluster.leader()

    def counted_anew() -> bool:
        found = looked(gatherer)
        key = "server_proposals_committed_total", frozenset({("node", f"node{leader}"), ("group", "1")})
        return 1 <= found.get(key, 0) < before

    eventually(counted_anew, "a counter that has fallen, and counts what is new alone")


@contextmanager
def serving(*words: str) -> Iterator[str]:
    """`switchraft metrics` with these options; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "topo.cli", "metrics", *words], stdout=subprocess.PIPE, text=True, cwd=paths.ROOT
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        assert process.wait(60) == 0


async def fetched(url: str) -> str:
    async with ClientSession() as session, session.get(url) as answer:
        return await answer.text()


def test_the_command_serves_nodes_and_ends_when_it_is_told(cluster: LocalCluster) -> None:
    leader = cluster.leader()
    sockets = [word for member in cluster.members for word in ("--node", str(cluster.data(member) / "control.sock"))]
    with serving("--listen", "127.0.0.1:0", *sockets) as url:
        found = parsed(asyncio.run(fetched(url)))
    assert value(found, "server_is_leader", node=f"node{leader}", group="1") == 1
    once = forked.run("topo.cli", "metrics", "--once", "--node", str(cluster.data(leader) / "control.sock"))
    assert once.returncode == 0, once.stderr
    assert value(parsed(once.stdout), "node_up", node=f"node{leader}") == 1


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--listen", "9464"), 2, "--listen 9464: that is no address with a port"),
        (("--listen", "127.0.0.1:99999"), 2, "'99999' is no port"),
        (("--timeout", "0"), 2, "--timeout 0: choose"),
        (("--node", "/nowhere/at/all/control.sock"), 2, "there is no such folder"),
        ((), 1, "no lab runs"),
        (("--node", ".", "--listen", "192.0.2.1:9464"), 1, "choose another address"),
        (("--write", "/dev/null/files"), 1, "choose another folder"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    done = forked.run("topo.cli", "metrics", *words, SWITCHRAFT_BUILD=str(tmp_path))
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("switchraft: ") and told in line


def test_a_socket_that_nobody_answers_is_named(tmp_path: Path) -> None:
    for path in (Path("/nonexist"), tmp_path / "control.sock"):
        done = forked.run("topo.cli", "metrics", "--once", "--node", str(path))
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and line.startswith(f"switchraft: node at {path} does not answer: ")
        name = path.parent.name or path
        assert f'switchraft_node_up{{node="{name}"}} 0.0' in done.stdout


def test_who_answers_and_is_no_node_is_told(tmp_path: Path) -> None:
    path = tmp_path / "controller.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            with listening.accept()[0] as asked:
                asked.recv(65536)
                asked.sendall(b'{"ok": true, "switches": {}, "groups": []}\n')

        answering = threading.Thread(target=answer)
        answering.start()
        done = forked.run("topo.cli", "metrics", "--once", "--node", str(path))
        answering.join()
    assert (done.returncode, done.stderr) == (
        1,
        f"switchraft: {path} is no node's control socket: what answers there is no node\n",
    )


def test_nodes_whose_folders_have_one_name_are_told_apart(tmp_path: Path) -> None:
    sockets = [tmp_path / lab / "h1" / "control.sock" for lab in "ab"]
    assert set(asyncio.run(Nodes(sockets).look(0.1)).nodes) == set(map(str, sockets))


def test_where_the_extra_is_not_installed_that_is_said(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['prometheus_client'] = None; sys.argv[1:] = ['metrics', '--once', '--node', '.']; "
        "from topo.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=paths.ROOT
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install -e '.[metrics]'" in line
