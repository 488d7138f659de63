"""Every metric that is exported. docs/metrics.md lists the same: a test holds both to each other.

Names are etcd's, with ``switchraft_`` in place of ``etcd_``, where the thing is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PREFIX = "switchraft_"


class Kind(Enum):
    """Prometheus' types. A counter begins at 0 with its process: one that has fallen has begun anew."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(Enum):
    """Who measures it."""

    EXPORTER = "the exporter"
    LOOP = "the node's loop"
    STORAGE = "the node's storage thread"
    SWITCH = "the switch, by its P4 program"
    CONTROLLER = "the controller"


@dataclass(frozen=True)
class Metric:
    """``help`` is one sentence that says what it is, with its unit where the name has none."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    source: Source

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


_NODE = ("node",)
_GROUP = ("node", "group")
_SWITCH = ("switch",)


def _counter(name: str, labels: tuple[str, ...], help: str, source: Source) -> Metric:
    return Metric(name, Kind.COUNTER, labels, help, source)


def _gauge(name: str, labels: tuple[str, ...], help: str, source: Source) -> Metric:
    return Metric(name, Kind.GAUGE, labels, help, source)


def _histogram(name: str, labels: tuple[str, ...], help: str, source: Source) -> Metric:
    return Metric(name, Kind.HISTOGRAM, labels, help, source)


METRICS = (
    _gauge("lab_up", (), "1 while a lab runs, 0 once it has ended; not there with --node.", Source.EXPORTER),
    _gauge("node_up", _NODE, "1 if the node has answered on its control socket in time, else 0.", Source.EXPORTER),
    _gauge("node_uptime_seconds", _NODE, "Seconds since the node's process began.", Source.LOOP),
    _gauge("server_has_leader", _GROUP, "1 if the member knows who leads the group, else 0.", Source.LOOP),
    _gauge("server_is_leader", _GROUP, "1 if the member says that it leads the group, else 0.", Source.LOOP),
    _gauge("server_is_learner", _GROUP, "1 if the member gets entries and does not vote, else 0.", Source.LOOP),
    _counter(
        "server_leader_changes_seen_total",
        _GROUP,
        "Leaders that the member has come to know, the first one among them; one of another term is another.",
        Source.LOOP,
    ),
    _counter(
        "server_leader_ends_told_total",
        _GROUP,
        "How often the host of the leader that the member follows has said that nobody is there, truly or not.",
        Source.LOOP,
    ),
    _counter(
        "server_leader_ends_proven_total",
        _GROUP,
        "How often of those it has quoted a late reply of the member's, which proves it.",
        Source.LOOP,
    ),
    _counter(
        "server_hints_gone_total",
        _GROUP,
        "Hints of the controller that have counted, given because the leader's host has said that nobody is there.",
        Source.LOOP,
    ),
    _counter(
        "server_hints_cut_off_total",
        _GROUP,
        "Hints of the controller that have counted, given because the leader's host answered nothing.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_rounds_total",
        _GROUP,
        "Rounds of this leader whose heartbeat the network copied for those whom copies reach.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_appends_total",
        _GROUP,
        "AppendEntries with entries that this leader has sent once for all whom the network's copies reach.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_trials_total",
        _GROUP,
        "Heartbeats that this leader has sent to be copied in order to see whom copies reach.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_trials_in_vain_total",
        _GROUP,
        "Such trials that nobody had answered when the next one began.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_fallbacks_total",
        _GROUP,
        "How often this leader has served a member alone again whom copies had reached.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_fallbacks_entries_total",
        _GROUP,
        "Of these, because it had answered copies of heartbeats and not those of entries.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_laggards_total",
        _GROUP,
        "AppendEntries with entries that this leader has sent to one member alone while others got copies.",
        Source.LOOP,
    ),
    _counter(
        "server_fanout_rejects_total",
        _GROUP,
        "Copies rejected by members who get those entries otherwise, or later.",
        Source.LOOP,
    ),
    _counter(
        "server_acknowledgements_merged_total",
        _GROUP,
        "Acknowledgements that the member has held back until a later one said the same.",
        Source.LOOP,
    ),
    _counter(
        "server_acknowledgements_late_total",
        _GROUP,
        "Acknowledgements that the member has held back for as long as it may.",
        Source.LOOP,
    ),
    _counter(
        "server_acknowledgements_asked_again_total",
        _GROUP,
        "How often this leader has asked all to acknowledge at once, as one of the fastest was late.",
        Source.LOOP,
    ),
    _counter(
        "server_acknowledgements_choices_total",
        _GROUP,
        "How often this leader has chosen anew who acknowledges at once.",
        Source.LOOP,
    ),
    _counter(
        "server_gather_asked_total",
        _GROUP,
        "AppendEntries with entries whose acknowledgements this leader has let the network gather.",
        Source.LOOP,
    ),
    _counter(
        "server_gather_pauses_total",
        _GROUP,
        "How often this leader has let nothing be gathered for a while: a commit came by heartbeats' replies alone.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_leader_total",
        _GROUP,
        "Reads that this leader has served without a log entry.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_follower_total",
        _GROUP,
        "Reads that the member has served by its leader's index.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_stale_total",
        _GROUP,
        "Reads that the member has served at once, as what it held was recent enough for them.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_given_up_total",
        _GROUP,
        "Reads that the member could not serve in time as a follower, so that they were asked of the leader.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_asked_total",
        _GROUP,
        "Questions for an index that the member has asked its leader.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_asked_along_total",
        _GROUP,
        "Of these, those that rode on an answer to the leader.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_asked_again_total",
        _GROUP,
        "Questions for an index that were asked again, as no answer came.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_answered_total",
        _GROUP,
        "Questions for an index that the leader has answered.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_void_total",
        _GROUP,
        "Answers to no question that was open.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_taken_total",
        _GROUP,
        "Others' questions for an index that this leader has answered.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_taken_at_once_total",
        _GROUP,
        "Of these, those that who asked and this leader, as a quorum, could answer without a round.",
        Source.LOOP,
    ),
    _counter(
        "server_reads_questions_told_along_total",
        _GROUP,
        "Questions for an index whose answer rode on an AppendEntries of this leader.",
        Source.LOOP,
    ),
    _counter(
        "server_proposals_committed_total",
        _GROUP,
        "Entries that the member knows as committed, less those that its log held when its process began.",
        Source.LOOP,
    ),
    _counter(
        "server_proposals_applied_total",
        _GROUP,
        "Entries that the state machine has applied, less those that the log held when the process began.",
        Source.LOOP,
    ),
    _gauge(
        "server_proposals_pending",
        _GROUP,
        "Clients' requests that are in this leader's log and not answered yet.",
        Source.LOOP,
    ),
    _counter(
        "server_proposals_failed_total",
        _GROUP,
        "Clients' requests that were in the log when the leader lost its office: what becomes of them is open.",
        Source.LOOP,
    ),
    _counter(
        "server_proposals_refused_total",
        _GROUP,
        "Clients' requests that a leader has turned away because too much was waiting.",
        Source.LOOP,
    ),
    _gauge("server_reads_pending", _GROUP, "Reads that wait for a round or for entries to be applied.", Source.LOOP),
    _gauge("server_term", _GROUP, "The member's current term.", Source.LOOP),
    _gauge("server_commit_index", _GROUP, "The last entry that the member knows as committed.", Source.LOOP),
    _gauge("server_applied_index", _GROUP, "The last entry that the state machine has applied.", Source.LOOP),
    _gauge("server_last_index", _GROUP, "The last entry of the log in memory.", Source.LOOP),
    _gauge("server_durable_index", _GROUP, "The last entry that the member's own disk holds.", Source.LOOP),
    _gauge("server_snapshot_index", _GROUP, "The last entry that the latest snapshot covers, or 0.", Source.LOOP),
    _gauge(
        "server_problems",
        _GROUP,
        "Members that have lost their data, as this one has found out; `switchraft status` names them.",
        Source.LOOP,
    ),
    _gauge(
        "server_peer_match_index",
        ("node", "group", "peer"),
        "The last entry that this leader knows the other member's disk to hold.",
        Source.LOOP,
    ),
    _histogram(
        "commit_stage_duration_seconds",
        ("node", "group", "stage"),
        "Where a batch of clients' requests spends its time in the leader: queue, disk, network, apply.",
        Source.LOOP,
    ),
    _histogram(
        "disk_wal_fsync_duration_seconds",
        _GROUP,
        "How long each sync of the log has taken, on leaders and followers.",
        Source.STORAGE,
    ),
    _histogram(
        "network_peer_round_trip_time_seconds",
        ("node", "group", "peer"),
        "From a leader's heartbeat to the first answer of the other member to it.",
        Source.LOOP,
    ),
    _counter(
        "network_peer_sent_bytes_total",
        ("node", "peer"),
        "Bytes of datagrams, without headers below UDP's payload, sent to the other member.",
        Source.LOOP,
    ),
    _counter(
        "network_peer_received_bytes_total",
        ("node", "peer"),
        "Bytes of datagrams, without headers below UDP's payload, that came from the other member and were right.",
        Source.LOOP,
    ),
    _counter(
        "network_fan_out_sent_bytes_total",
        ("node", "group"),
        "Bytes of datagrams, without headers below UDP's payload, sent once for the network to copy to every other "
        "member.",
        Source.LOOP,
    ),
    _counter("network_datagrams_sent_total", ("node", "type"), "Datagrams sent, by message type.", Source.LOOP),
    _counter(
        "network_datagrams_received_total", ("node", "type"), "Datagrams that came, by message type.", Source.LOOP
    ),
    _counter(
        "network_drops_total",
        ("node", "reason"),
        "Datagrams that the node has dropped or could not send, by reason.",
        Source.LOOP,
    ),
    _gauge("switch_up", _SWITCH, "1 if the switch has answered over P4Runtime in time, else 0.", Source.EXPORTER),
    _gauge(
        "switch_programmed",
        _SWITCH,
        "1 if the switch holds the program and the entries that it ought to, else 0.",
        Source.CONTROLLER,
    ),
    _counter("switch_programmings_total", _SWITCH, "How often the switch was programmed anew.", Source.CONTROLLER),
    _gauge("switch_entries", _SWITCH, "Table entries that the switch holds.", Source.CONTROLLER),
    _gauge(
        "switch_leader_term",
        ("switch", "group"),
        "The term of the leader to whom the switch steers the group's clients, 0 if nobody is known to lead.",
        Source.CONTROLLER,
    ),
    _counter("switch_messages_total", ("switch", "type"), "Raft messages that came in, by type.", Source.SWITCH),
    _counter("switch_drops_total", ("switch", "reason"), "Packets that the switch has dropped.", Source.SWITCH),
    _counter(
        "switch_copies_total",
        (*_SWITCH, "fate"),
        "Copies of AppendEntries to everybody, by what became of them.",
        Source.SWITCH,
    ),
    _counter(
        "switch_acknowledgements_total",
        (*_SWITCH, "fate"),
        "Acknowledgements that may be gathered and came to their leader's own switch, by what became of them.",
        Source.SWITCH,
    ),
    _counter(
        "switch_leader_ends_total",
        (*_SWITCH, "fate"),
        "ICMP port unreachable that came in where hosts hang, by what became of it beside being forwarded.",
        Source.SWITCH,
    ),
    _counter("switch_steered_total", _SWITCH, "Clients' requests that were brought to the leader.", Source.SWITCH),
    _gauge("switch_feature_on", ("switch", "feature"), "1 if the feature is on, 0 if off.", Source.CONTROLLER),
    _counter(
        "switch_feature_packets_total",
        ("switch", "feature"),
        "Packets that the entries of the feature's tables matched; of features whose tables count.",
        Source.SWITCH,
    ),
    _counter("switch_port_received_packets_total", ("switch", "port"), "Packets that came in.", Source.SWITCH),
    _counter("switch_port_received_bytes_total", ("switch", "port"), "Bytes of packets that came in.", Source.SWITCH),
    _counter("switch_port_sent_packets_total", ("switch", "port"), "Packets that left.", Source.SWITCH),
    _counter("switch_port_sent_bytes_total", ("switch", "port"), "Bytes of packets that left.", Source.SWITCH),
    _gauge("controller_up", (), "1 if the controller has answered on its control socket in time.", Source.EXPORTER),
    _counter(
        "hints_given_total",
        ("group", "cause"),
        "How often the controller has told the group's members that their leader may have ended.",
        Source.CONTROLLER,
    ),
    _gauge(
        "link_up",
        ("link",),
        "1 if the controller's probes pass the link between two switches, both ways, else 0.",
        Source.CONTROLLER,
    ),
)

BY_NAME = {metric.name: metric for metric in METRICS}
