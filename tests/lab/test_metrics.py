"""A real Prometheus scrapes a lab: what it holds is what nodes and switches say, and alerts fire and clear."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hosts.raft.message import MessageType
from hosts.wire import Header
from tests.lab.conftest import Lab, wait
from tests.lab.forge import datagram, send
from tests.metrics.prometheus import free_tcp_port, promtool, tool
from topo import paths
from topo.metrics import files
from topo.metrics.catalogue import METRICS, PREFIX

INTERVAL = "500ms"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus, and the exporter that it scrapes."""

    url: str
    exporter: str

    def ask(self, path: str, **words: str) -> Any:
        """What its HTTP interface answers to a question."""
        with urllib.request.urlopen(
            f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=30
        ) as answer:
            return json.load(answer)["data"]

    def values(self, query: str, label: str) -> dict[str, float]:
        """A query's values by one of its labels."""
        found = self.ask("query", query=query)["result"]
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in found}

    def value(self, query: str) -> float | None:
        """That of a query with one answer; None if it has none."""
        found = self.ask("query", query=query)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> dict[str, set[str]]:
        """Alerts that fire, with whom they name."""
        found: dict[str, set[str]] = {}
        for alert in self.ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = alert["labels"]
                who = labels.get("switch") or labels.get("node") or labels.get("group") or ""
                found.setdefault(labels["alertname"].removeprefix("Switchraft"), set()).add(who)
        return found

    def wait_firing(self, alert: str, who: str) -> None:
        wait(f"alert {alert} of {who}", lambda: who in self.firing().get(alert, ()))

    def wait_quiet(self) -> None:
        wait("end of all alerts", lambda: not self.firing() or None)

    def scraped(self) -> str:
        with urllib.request.urlopen(self.exporter, timeout=30) as answer:
            return str(answer.read().decode())


def shortened(text: str) -> str:
    """The rules as they are, but for their patience."""
    rules = yaml.safe_load(text)
    for rule in rules["groups"][0]["rules"]:
        if "for" in rule:
            rule["for"] = "1s"
        rule["expr"] = re.sub(r"\[5m\]", "[10s]", rule["expr"])
    return yaml.safe_dump(rules)


@contextmanager
def process(command: list[str], log: Path) -> Iterator[None]:
    """A process for the time of the block, with what it says in a file."""
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, cwd=paths.ROOT, env=dict(os.environ))
        try:
            yield
        finally:
            running.terminate()
            running.wait(60)


@pytest.fixture(scope="module")
def prometheus(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    exported, served = f"127.0.0.1:{free_tcp_port()}", f"127.0.0.1:{free_tcp_port()}"
    files.write(folder, exported)
    rules, configuration = folder / files.RULES.name, folder / files.CONFIGURATION.name
    rules.write_text(shortened(rules.read_text()))
    configuration.write_text(configuration.read_text().replace("interval: 10s", f"interval: {INTERVAL}"))
    promtool("check", "config", configuration)
    with ExitStack() as running:
        command = [sys.executable, "-m", "topo.cli", "metrics", "--listen", exported]
        running.enter_context(process(command, folder / "exporter.log"))
        words = [
            "--config.file",
            configuration,
            "--storage.tsdb.path",
            folder / "data",
            "--web.listen-address",
            served,
        ]
        running.enter_context(process([tool("prometheus"), *map(str, words)], folder / "prometheus.log"))
        made = Prometheus(f"http://{served}", f"http://{exported}/metrics")
        wait("Prometheus that has scraped", lambda: made.value('up{job="switchraft"}') == 1)
        yield made


@pytest.fixture(autouse=True)
def quiet(lab: Lab, prometheus: Prometheus) -> Iterator[None]:
    """Each test begins, and ends, with a lab that is whole and nothing that fires."""
    prometheus.wait_quiet()
    yield
    lab.mend()
    prometheus.wait_quiet()


def test_all_of_the_catalogue_is_there(lab: Lab, prometheus: Prometheus) -> None:
    lab.run("send", "1")

    def all_there() -> bool:
        text = prometheus.scraped()
        missing = [one.name for one in METRICS if not re.search(rf"^{PREFIX}{one.name}(_bucket)?[{{ ]", text, re.M)]
        assert missing == []
        return True

    wait("every metric of the catalogue", all_there)
    assert promtool("check", "metrics", told=prometheus.scraped()) == ""


def test_values_are_those_of_the_nodes_and_switches(lab: Lab, prometheus: Prometheus) -> None:
    for number in range(20):
        lab.run("send", str(number))
    names = {
        "term": "term",
        "commit": "commit_index",
        "applied": "applied_index",
        "last_index": "last_index",
        "durable_index": "durable_index",
        "snapshot": "snapshot_index",
    }

    def same() -> bool:
        """Nothing is asked of the lab by now, so that its values stay."""
        nodes = lab.json("status")["nodes"]
        groups = {name: node["groups"][0] for name, node in nodes.items()}
        for field, metric in names.items():
            told = {name: group[field] for name, group in groups.items()}
            assert prometheus.values(f"{PREFIX}server_{metric}", "node") == told, field
        leads = {name: group["role"] == "leader" for name, group in groups.items()}
        assert prometheus.values(f"{PREFIX}server_is_leader", "node") == leads
        counted = {name: group["counts"]["proposals_committed"] for name, group in groups.items()}
        assert prometheus.values(f"{PREFIX}server_proposals_committed_total", "node") == counted
        return True

    wait("the nodes' own values in Prometheus", same)
    held = lab.json("counters")
    steered = {name: sum(one["packets"] for one in held[name]["redirects"].values()) for name in held}
    assert sum(steered.values()) > 0
    wait("switches' redirects", lambda: prometheus.values(f"{PREFIX}switch_steered_total", "switch") == steered)
    least = {name: held[name]["messages"]["AppendEntries"]["packets"] for name in held}
    query = f'{PREFIX}switch_messages_total{{type="AppendEntries"}}'

    def grown() -> dict[str, float] | None:
        found = prometheus.values(query, "switch")
        return found if all(found[name] >= count for name, count in least.items()) else None

    scraped = wait("switches' messages", grown)
    after = lab.json("counters")
    assert all(after[name]["messages"]["AppendEntries"]["packets"] >= count for name, count in scraped.items())


def test_the_leaders_death_is_seen_and_told(lab: Lab, prometheus: Prometheus) -> None:
    before, term = lab.leader(), lab.term()
    for number in range(10):
        lab.run("send", str(number))
    committed = f'{PREFIX}server_proposals_committed_total{{node="{before}"}}'
    seen = f"max({PREFIX}server_leader_changes_seen_total)"
    counted = wait("ten commits", lambda: (found := prometheus.value(committed)) and found >= 10 and found)
    changes = wait("a leader that was seen", lambda: prometheus.value(seen))
    lab.run("node", "kill", before)
    after = lab.leader(other_than=before)
    prometheus.wait_firing("MemberDown", before)
    wait("a node that is down", lambda: prometheus.value(f'{PREFIX}node_up{{node="{before}"}}') == 0)
    wait("silence of what is down", lambda: prometheus.value(committed) is None)
    wait("the new leader", lambda: prometheus.values(f"{PREFIX}server_is_leader == 1", "node").keys() == {after})
    wait("the new term", lambda: (prometheus.value(f"max({PREFIX}server_term)") or 0) > term)
    wait("a change of the leader", lambda: (prometheus.value(seen) or 0) > changes)
    assert lab.json("status")["nodes"][after]["groups"][0]["term"] == lab.term()
    wait("its term", lambda: prometheus.value(f'{PREFIX}server_term{{node="{after}"}}') == lab.term())

    lab.run("node", "start", before)
    prometheus.wait_quiet()
    wait("a counter that begins anew", lambda: (prometheus.value(committed) or counted) < counted)
    wait("what Prometheus takes for a reset", lambda: prometheus.value(f"resets({committed}[10m])") == 1)


def test_a_quorum_is_lost(lab: Lab, prometheus: Prometheus) -> None:
    lab.run("node", "kill", "h1")
    lab.run("node", "kill", "h2")
    prometheus.wait_firing("NoLeader", "1")
    prometheus.wait_firing("MemberDown", "h1")
    lab.run("node", "kill", "h3")
    wait("all members down", lambda: prometheus.value(f"max({PREFIX}node_up)") == 0)
    prometheus.wait_firing("NoLeader", "")
    lab.mend()
    prometheus.wait_quiet()


def test_who_is_paused_keeps_nobody_waiting(lab: Lab, prometheus: Prometheus) -> None:
    lab.leader()
    lab.run("node", "pause", "h3")
    lab.run("switch", "pause", "s3")
    prometheus.wait_firing("MemberDown", "h3")
    prometheus.wait_firing("SwitchDown", "s3")
    wait("a scrape that ends in time", lambda: prometheus.value('up{job="switchraft"}') == 1)
    wait("who is paused", lambda: prometheus.values(f"{PREFIX}node_up", "node") == {"h1": 1, "h2": 1, "h3": 0})


def test_a_switch_and_the_controller_are_missed(lab: Lab, prometheus: Prometheus) -> None:
    lab.run("switch", "kill", "s3")
    prometheus.wait_firing("SwitchDown", "s3")
    prometheus.wait_firing("SwitchNotProgrammed", "s3")
    lab.run("controller", "kill")
    prometheus.wait_firing("ControllerDown", "")
    wait("silence of what only the controller knows", lambda: prometheus.value(f"{PREFIX}switch_programmed") is None)


def test_strangers_are_told_of(lab: Lab, prometheus: Prometheus) -> None:
    before = lab.drops("s1").get("not_member", 0)
    header = Header(MessageType.REQUEST_VOTE, source=3, target=1, group=1, term=2**40)
    send(lab.live, "h11", [datagram(lab.live, header, bytes(16), at="h11", to="h1")] * 5)
    prometheus.wait_firing("StrangersKnocking", "s1")
    dropped = f'{PREFIX}switch_drops_total{{switch="s1",reason="not_member"}}'
    wait("packets of strangers", lambda: (prometheus.value(dropped) or 0) > before)


def test_a_feature_that_is_away(lab: Lab, prometheus: Prometheus) -> None:
    query = f'{PREFIX}switch_feature_on{{feature="term_filter"}}'
    lab.run("feature", "off", "term_filter", "--switch", "s2")
    wait("the feature to be off", lambda: prometheus.values(query, "switch") == {"s1": 1, "s2": 0, "s3": 1})
    lab.run("feature", "on", "term_filter")
    wait("the feature to be on", lambda: prometheus.values(query, "switch") == {"s1": 1, "s2": 1, "s3": 1})
