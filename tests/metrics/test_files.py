"""The files beside the metrics: promtool finds nothing wrong, and they name only what is exported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import exposition

from hosts.net.transport import STRANGERS
from tests import forked
from tests.metrics.prometheus import promtool
from tests.metrics.seen import SEEN
from topo.errors import FileError
from topo.metrics import files
from topo.metrics.catalogue import BY_NAME, METRICS, PREFIX, Kind
from topo.metrics.samples import samples

PROMETHEUS_OWN = {"job", "instance", "le", "alertname", "alertstate", "__name__"}
"""Labels that Prometheus puts there, and those of a bucket and of an alert."""

RULES: list[dict[str, Any]] = yaml.safe_load(files.RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads(files.DASHBOARD.read_text(encoding="utf-8"))


def targets() -> Iterator[tuple[str, str]]:
    """The dashboard's queries with their legends."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]


def plain(query: str) -> str:
    """A dashboard's query without Grafana's variables."""
    return query.replace("$__rate_interval", "1m").replace("$group", ".*")


QUERIES = [plain(query) for query, _ in targets()] + [rule["expr"] for rule in RULES]


def names_in(query: str) -> set[str]:
    """Metrics of ours in a query, by their names in the catalogue."""
    found = set()
    for name in re.findall(rf"\b{PREFIX}(\w+)", query):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        found.add(base if base in BY_NAME and BY_NAME[base].kind is Kind.HISTOGRAM else name)
    return found


def labels_in(query: str) -> set[str]:
    """Labels by which a query selects, groups and matches."""
    selected = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    grouped = re.findall(r"\b(?:by|without|on|ignoring|group_right|group_left)\s*\(([^)]*)\)", query)
    return {*selected, *(label.strip() for one in grouped for label in one.split(",") if label.strip())}


# -- promtool -------------------------------------------------------------------------------------------------------


def test_what_is_exported_has_no_lint() -> None:
    assert promtool("check", "metrics", told=exposition.generate_latest(samples(SEEN)).decode()) == ""


def test_rules_and_configuration_are_valid(tmp_path: Path) -> None:
    files.write(tmp_path)
    assert f"{len(RULES)} rules found" in promtool("check", "rules", tmp_path / "alerts.yml")
    promtool("check", "config", tmp_path / "prometheus.yml")


def test_each_alert_fires_when_it_should_and_clears(tmp_path: Path) -> None:
    cases = Path(__file__).with_name("alerts_test.yml").read_text(encoding="utf-8")
    path = tmp_path / "cases.yml"
    path.write_text(cases.replace("{folder}", str(files.FOLDER)), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", path)
    tested = set(re.findall(r"\bSwitchraft\w+", cases))
    assert {rule["alert"] for rule in RULES} == tested


def test_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    queries = [plain(query) for query, _ in targets()]
    assert len(queries) > 30
    recorded = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}), encoding="utf-8")
    promtool("check", "rules", path)


# -- names and labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", QUERIES)
def test_queries_name_only_what_is_exported(query: str) -> None:
    names = names_in(query)
    assert names <= BY_NAME.keys()
    if not names:
        assert query.startswith("up{"), "the only metric that is not ours"
    # Both sides of a match have what it matches by; what only one of them has may be selected there.
    known = {label for name in names for label in BY_NAME[name].labels}
    assert labels_in(query) <= known | PROMETHEUS_OWN


def test_a_name_or_label_that_is_not_there_is_found() -> None:
    assert not names_in("rate(switchraft_server_proposals_total[1m])") <= BY_NAME.keys()
    assert names_in("sum(switchraft_commit_stage_duration_seconds_bucket)") == {"commit_stage_duration_seconds"}
    assert labels_in('sum by (nod, le) (a{group=~"x", peer!="y"}) / on (z) group_left () b') == {
        "nod",
        "le",
        "group",
        "peer",
        "z",
    }


def test_legends_and_annotations_name_labels_that_are_there() -> None:
    for query, legend in targets():
        known = {label for name in names_in(query) for label in BY_NAME[name].labels}
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= known, query
    for rule in RULES:
        known = {label for name in names_in(rule["expr"]) for label in BY_NAME[name].labels} | {"instance"}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known, rule["alert"]


def test_the_dashboard_has_no_two_panels_with_one_id_and_asks_one_data_source() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) > 30
    sources = {json.dumps(panel["datasource"]) for panel in DASHBOARD["panels"] if panel["type"] != "row"}
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}


def test_the_alert_of_strangers_knows_every_reason() -> None:
    (rule,) = (rule for rule in RULES if rule["alert"] == "SwitchraftStrangersKnocking")
    (reasons,) = re.findall(r'reason=~"([^"]*)"', rule["expr"])
    assert set(reasons.split("|")) == set(STRANGERS)


# -- the files where they are wanted, and the document --------------------------------------------------------------


def test_files_are_written_with_the_address_that_is_served(tmp_path: Path) -> None:
    done = forked.run("topo.cli", "metrics", "--write", str(tmp_path / "new"), "--listen", "10.1.2.3:9000")
    assert done.returncode == 0, done.stderr
    written = {Path(line).name for line in done.stdout.splitlines()}
    assert (
        written
        == {"prometheus.yml", "alerts.yml", "dashboard.json"}
        == {path.name for path in files.FOLDER.iterdir()}
    )
    configuration = yaml.safe_load((tmp_path / "new" / "prometheus.yml").read_text(encoding="utf-8"))
    assert configuration["scrape_configs"][0]["static_configs"] == [{"targets": ["10.1.2.3:9000"]}]
    promtool("check", "config", tmp_path / "new" / "prometheus.yml")


DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_document_tells_of_every_metric_as_it_is_and_of_no_other() -> None:
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", DOCUMENT, re.MULTILINE)
    told = [(name, kind, re.findall(r"`(\w+)`", labels), what, source) for name, kind, labels, what, source in rows]
    assert told == [
        (metric.name, metric.kind.value, list(metric.labels), metric.help, metric.source.value) for metric in METRICS
    ]


def test_the_document_tells_of_every_alert() -> None:
    assert re.findall(r"^\| `(Switchraft\w+)` \|", DOCUMENT, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_a_full_disk_is_told_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / files.CONFIGURATION.name).symlink_to("/dev/full")
    with pytest.raises(FileError, match=rf"^{tmp_path}: No space left on device: choose another folder for --write$"):
        files.write(tmp_path)
