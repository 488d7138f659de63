"""Acknowledgements that are held back leave in time, and the wire carries who may hold them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from hosts.config import Acknowledgements, ConfigError, parse
from hosts.group import HOLD_S, NO_TIME, Group, GroupOutputs
from hosts.net.fanout import to_one
from hosts.net.reassembly import HEAD_BYTES, key_of
from hosts.raft.config import Config
from hosts.raft.core import Raft, Ready
from hosts.raft.message import EVERYBODY, Entry, EntryKind, HardState, Message, MessageType
from hosts.wire import Flag, Header, pack_peer, split_append, unpack_peer
from tests.hosts.conftest import eventually
from tests.hosts.test_member import Mesh

APPEND = MessageType.APPEND_ENTRIES


class Follower:
    """Member 1, whose leader is member 2; the test is its clock, and its disk is instantaneous."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[Message] = []
        self._disk: list[Ready] = []
        core = Raft(Config(1, frozenset({1, 2, 3})), HardState(), (), Random(1))
        outputs = GroupOutputs(
            send=lambda _, message: self.sent.append(message),
            write=lambda _, ready: self._disk.append(ready),
            reply=lambda header, payload, address: None,
            note=lambda text: None,
            clock=lambda: self.now,
        )
        self.group = Group(1, core, {}, outputs)
        self.hear(Message(APPEND, 2, 1, 1, round=1, lazy=True))
        self.sent.clear()

    def hear(self, message: Message) -> None:
        self.group.step(message)
        self.flush()

    def hear_entry(self, index: int) -> None:
        entry = Entry(1, index, EntryKind.NOOP)
        self.hear(Message(APPEND, 2, 1, 1, index - 1, int(index > 1), round=1, entries=(entry,), lazy=True))

    def flush(self) -> None:
        self.group.flush()
        while self._disk:
            self.group.durable(self._disk.pop(0))
            self.group.flush()

    @property
    def said(self) -> list[int]:
        return [one.index for one in self.sent if one.type is MessageType.APPEND_ENTRIES_REPLY]


def test_what_is_held_back_leaves_after_its_time_from_the_first_on() -> None:
    follower = Follower()
    assert follower.group.flush_by == NO_TIME
    follower.hear_entry(1)
    assert follower.group.flush_by == follower.now + HOLD_S and not follower.said
    follower.now += 0.8 * HOLD_S
    follower.hear_entry(2)
    assert not follower.said
    follower.now += 0.3 * HOLD_S
    follower.flush()
    assert follower.said == [2] and follower.group.flush_by == NO_TIME
    follower.hear_entry(3)
    assert follower.group.flush_by == follower.now + HOLD_S, "the next one has its own time"
    counts = follower.group.status()["counts"]
    assert (counts["acknowledgements_merged"], counts["acknowledgements_late"]) == (1, 1)


def test_what_has_been_said_with_a_heartbeat_waits_no_more() -> None:
    follower = Follower()
    follower.hear_entry(1)
    follower.hear(Message(APPEND, 2, 1, 1, round=2, lazy=True))
    assert follower.said == [1] and follower.group.flush_by == NO_TIME
    follower.now += 2 * HOLD_S
    follower.flush()
    assert follower.said == [1]


# -- the wire ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("fanout", [False, True])
def test_the_flag_is_carried_and_a_copy_is_known_for_one(lazy: bool, fanout: bool) -> None:
    entries = tuple(Entry(1, index, EntryKind.COMMAND, bytes(800)) for index in range(1, 5))
    message = Message(APPEND, 1, EVERYBODY if fanout else 2, 1, round=3, entries=entries, lazy=lazy)
    parts = split_append(message, 1400)
    assert len(parts) > 1
    for part in parts:
        header, payload = pack_peer(part, group=1, cluster=7, fanout=fanout)
        header = Header.unpack(header.pack())
        assert header.flags == lazy * Flag.LAZY | fanout * Flag.FANOUT
        assert unpack_peer(header, payload, cluster=7) == replace(part, copied=fanout)


def test_fragments_of_a_copy_and_those_sent_alone_make_one_message() -> None:
    header = Header(APPEND, 1, EVERYBODY, 1, 1, flags=Flag.FANOUT | Flag.FRAGMENT | Flag.LAZY)
    copy = replace(header, target=2)
    heads = [one.pack() + bytes(8) for one in (copy, to_one(header, 2))]
    assert len(heads[0]) == HEAD_BYTES and key_of("1", heads[0]) == key_of("1", heads[1])


def test_in_no_other_type_the_bit_says_anything() -> None:
    header = Header(MessageType.APPEND_ENTRIES_REPLY, 1, 2, 1, 1, flags=int(Flag.LAZY))
    assert not unpack_peer(header, (7).to_bytes(8, "big") + bytes(8), cluster=7).lazy


# -- settings ------------------------------------------------------------------------------------------------------

TEXT = "groups: [{id: 1, members: {1: 10.0.0.1}}]\n"


def test_acknowledgements_are_eager_unless_the_cluster_file_says_otherwise() -> None:
    assert parse(TEXT).cluster.acknowledgements is Acknowledgements.EAGER
    assert parse(TEXT + "acknowledgements: lazy\n").cluster.acknowledgements is Acknowledgements.LAZY
    with pytest.raises(ConfigError, match=r"acknowledgements.*'eager', 'lazy' or 'gathered'"):
        parse(TEXT + "acknowledgements: later\n")


@pytest.mark.parametrize("acknowledgements", list(Acknowledgements))
def test_members_go_by_the_cluster_file(acknowledgements: Acknowledgements) -> None:
    mesh = Mesh()
    mesh.cluster = replace(mesh.cluster, acknowledgements=acknowledgements)
    lazy = acknowledgements is Acknowledgements.LAZY
    assert mesh.start(1).groups[1].core.config.lazy_acknowledgements is lazy


def test_real_nodes_merge_acknowledgements_and_commit(make_cluster: Callable[..., Any]) -> None:
    cluster = make_cluster(extra="acknowledgements: lazy")
    cluster.start()
    cluster.leader()
    with cluster.client() as client:

        def merged() -> bool:
            for number in range(50):
                client.put(f"key {number}", number)
            shown = [cluster.status(member)["groups"][0]["counts"] for member in (1, 2, 3)]
            return any(counts["acknowledgements_merged"] for counts in shown)

        eventually(merged, "acknowledgements that were merged")
        assert client.get("key 49").value == [True, 49]
