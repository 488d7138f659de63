"""What nodes, switches and the controller said, as Prometheus' samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from controller.names import (
    AckFate,
    CopyFate,
    DropReason,
    EndFate,
    ack_name,
    end_name,
    fate_name,
    message_name,
    reason_name,
)
from hosts.net.transport import STRANGERS
from hosts.raft.message import MessageType
from topo.metrics.catalogue import BY_NAME, METRICS, Kind
from topo.metrics.gather import Json, Seen

_FAMILIES: Mapping[Kind, Callable[..., Any]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


class Samples(Collector):
    """The samples of one look. Only metrics of the catalogue can be put in, with just their labels."""

    def __init__(self) -> None:
        self._families = {
            metric.name: _FAMILIES[metric.kind](metric.full_name, metric.help, labels=metric.labels)
            for metric in METRICS
        }

    def put(self, name: str, value: float, /, **labels: object) -> None:
        """One sample of a counter or a gauge."""
        self._families[name].add_metric(self._values(name, labels), value)

    def put_durations(self, name: str, bounds_s: Sequence[float], shown: Json, /, **labels: object) -> None:
        """A histogram's buckets, as ``hosts.measures.Durations`` shows them."""
        reached = list(accumulate(shown["counts"]))
        buckets = [*zip(map(str, bounds_s), reached, strict=False), ("+Inf", reached[-1])]
        self._families[name].add_metric(self._values(name, labels), buckets, shown["sum_s"])

    @staticmethod
    def _values(name: str, labels: Mapping[str, object]) -> list[str]:
        metric = BY_NAME[name]
        if set(labels) != set(metric.labels):
            raise ValueError(f"{name} has the labels {metric.labels}, not {tuple(labels)}")
        return [str(labels[label]) for label in metric.labels]

    def collect(self) -> Iterable[Family]:
        """The families that have samples."""
        return [family for family in self._families.values() if family.samples]


def samples(seen: Seen) -> Samples:
    """All that can be said of what was seen. Of what did not answer, only that."""
    made = Samples()
    if seen.lab is not None:
        made.put("lab_up", int(seen.lab))
    for name, status in seen.nodes.items():
        made.put("node_up", int(not isinstance(status, str)), node=name)
        if not isinstance(status, str):
            _put_node(made, name, status, seen.names)
    for name, counts in seen.switches.items():
        made.put("switch_up", int(not isinstance(counts, str)), switch=name)
        if not isinstance(counts, str):
            _put_switch(made, name, counts)
    if seen.controller is not None:
        made.put("controller_up", int(not isinstance(seen.controller, str)))
        if not isinstance(seen.controller, str):
            _put_controller(made, seen.controller)
    return made


# -- nodes ----------------------------------------------------------------------------------------------------------


def _put_node(made: Samples, node: str, status: Json, names: Mapping[str, str]) -> None:
    made.put("node_uptime_seconds", status["uptime_s"], node=node)
    peers = {member: names.get(peer["address"], member) for member, peer in status["peers"].items()}
    for member, peer in status["peers"].items():
        made.put("network_peer_sent_bytes_total", peer["sent_bytes"], node=node, peer=peers[member])
        made.put("network_peer_received_bytes_total", peer["received_bytes"], node=node, peer=peers[member])
    for group, fan_out in status.get("fan_outs", {}).items():
        made.put("network_fan_out_sent_bytes_total", fan_out["sent_bytes"], node=node, group=group)
    counters = status["counters"]
    for way in ("sent", "received"):
        for kind in MessageType:
            count = counters[way].get(kind.name, 0)
            made.put(f"network_datagrams_{way}_total", count, node=node, type=message_name(kind))
    for reason, count in {**dict.fromkeys(STRANGERS, 0), **counters["drops"]}.items():
        made.put("network_drops_total", count, node=node, reason=reason)
    for group in status["groups"]:
        _put_group(made, node, group, peers)
        _put_durations(made, node, group, status["bounds_s"], peers)


def _put_group(made: Samples, node: str, group: Json, peers: Mapping[str, str]) -> None:
    def put(name: str, value: float) -> None:
        made.put(f"server_{name}", value, node=node, group=group["group"])

    put("has_leader", int(group["leader"] != 0))
    put("is_leader", int(group["role"] == "leader"))
    put("is_learner", int(group["id"] in group["learners"]))
    for name, count in group["counts"].items():
        put(f"{name}_total", count)
    put("proposals_pending", group["waiting"])
    put("reads_pending", group["readers"])
    put("term", group["term"])
    put("commit_index", group["commit"])
    put("applied_index", group["applied"])
    put("last_index", group["last_index"])
    put("durable_index", group["durable_index"])
    put("snapshot_index", group["snapshot"])
    put("problems", len(group["problems"]))
    for member, progress in group.get("progress", {}).items():
        labels = {"node": node, "group": group["group"], "peer": peers.get(member, member)}
        made.put("server_peer_match_index", progress["match_index"], **labels)


def _put_durations(
    made: Samples, node: str, group: Json, bounds_s: Sequence[float], peers: Mapping[str, str]
) -> None:
    durations = group["durations"]
    labels = {"node": node, "group": group["group"]}
    for stage, shown in durations["stages"].items():
        made.put_durations("commit_stage_duration_seconds", bounds_s, shown, **labels, stage=stage)
    if "syncs" in durations:
        made.put_durations("disk_wal_fsync_duration_seconds", bounds_s, durations["syncs"], **labels)
    for member, shown in durations["round_trips"].items():
        peer = peers.get(member, member)
        made.put_durations("network_peer_round_trip_time_seconds", bounds_s, shown, **labels, peer=peer)


# -- switches -------------------------------------------------------------------------------------------------------


def _put_switch(made: Samples, switch: str, counts: Json) -> None:
    none = {"packets": 0, "bytes": 0}
    # All that is known, also what is zero: an increase from nothing is none to Prometheus.
    messages = dict.fromkeys(map(message_name, MessageType), none) | counts["messages"]
    for kind, count in messages.items():
        made.put("switch_messages_total", count["packets"], switch=switch, type=kind)
    reasons = (reason_name(reason) for reason in DropReason if reason is not DropReason.NONE)
    for reason, count in (dict.fromkeys(reasons, none) | counts["drops"]).items():
        made.put("switch_drops_total", count["packets"], switch=switch, reason=reason)
    steered = sum(count["packets"] for count in counts["redirects"].values())
    made.put("switch_steered_total", steered, switch=switch)
    fates = (fate_name(fate) for fate in CopyFate)
    for fate, count in (dict.fromkeys(fates, none) | counts["copies"]).items():
        made.put("switch_copies_total", count["packets"], switch=switch, fate=fate)
    for fate, count in (dict.fromkeys(map(ack_name, AckFate), none) | counts["acknowledgements"]).items():
        made.put("switch_acknowledgements_total", count["packets"], switch=switch, fate=fate)
    for fate, count in (dict.fromkeys(map(end_name, EndFate), none) | counts["ends"]).items():
        made.put("switch_leader_ends_total", count["packets"], switch=switch, fate=fate)
    for feature, packets in counts["features"].items():
        made.put("switch_feature_packets_total", packets, switch=switch, feature=feature)
    for port, ways in counts["ports"].items():
        for way, count in (("received", ways["rx"]), ("sent", ways["tx"])):
            for what in ("packets", "bytes"):
                made.put(f"switch_port_{way}_{what}_total", count[what], switch=switch, port=port)


def _put_controller(made: Samples, status: Json) -> None:
    for name, switch in status["switches"].items():
        made.put("switch_programmed", int(switch["programmed"]), switch=name)
        made.put("switch_programmings_total", switch["times_programmed"], switch=name)
        made.put("switch_entries", switch["entries"], switch=name)
    for feature, at in status["features"].items():
        for name, on in at.items():
            made.put("switch_feature_on", int(on), switch=name, feature=feature)
    for group in status["groups"]:
        for name, installed in group["switches"].items():
            made.put("switch_leader_term", installed["term"], switch=name, group=group["group"])
        for cause, count in group["hints"].items():
            made.put("hints_given_total", count, group=group["group"], cause=cause)
    for link in status["links"]:
        made.put("link_up", int(link["up"]), link=f"{link['a']}-{link['b']}")
