"""Members come and go; leadership is handed over; the network is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from hosts import config
from hosts.addresses import pack_address, unpack_address
from hosts.config import ConfigError
from hosts.control import member_commands
from hosts.raft.message import EVERYBODY, Message, MessageType
from hosts.wire import Header, WireError, unpack_members, unpack_peer
from tests.hosts.groups import ELECTION_TICKS, Trio
from tests.hosts.net.test_seal import KEY, Member

ADDRESSES = {member: (f"10.0.0.{member}", 26410) for member in (1, 2, 3)}


# -- the cluster file -----------------------------------------------------------------------------------------------

SPARES = "groups:\n  - id: 1\n    members: {1: 10.0.0.1, 2: 10.0.0.2}\n    spares:\n"


def test_spares_are_known_and_no_members() -> None:
    cluster = config.parse(SPARES + "      4: 10.0.0.4:999\n").cluster
    assert cluster.member_ids == [1, 2] and cluster.node_ids == [1, 2, 4]
    assert cluster.address_of(4) == ("10.0.0.4", 999)
    assert [group.id for group in cluster.groups_of(4)] == [1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2: 10.0.0.9", "2 is a member already"),
        ("4: 10.0.0.2", "is member 2's address already"),
        ("4: nowhere", "not an IPv4 address"),
        ("255: 10.0.0.4", "less than or equal to 254"),
    ],
)
def test_bad_spares(line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f":[45]: groups.0.spares.*{told}"):
        config.parse(SPARES + f"      {line}\n")


def test_addresses_in_the_log() -> None:
    assert unpack_address(pack_address(("10.0.0.1", 26410))) == ("10.0.0.1", 26410)
    for wrong in (b"", b"10.0.0.1", b"h1:5", b"\xff:1", b"10.0.0.1:0"):
        assert unpack_address(wrong) is None


# -- what is asked --------------------------------------------------------------------------------------------------


def ask(trio: Trio, asked: int, command: str, /, **fields: Any) -> dict[str, Any]:
    return member_commands.answer(trio.groups[asked], {"cmd": command, **fields}, {}, 26410)


@pytest.fixture
def trio() -> Trio:
    """Member 1 leads."""
    made = Trio()
    made.elect(1)
    made.open(1)
    return made


def test_mistakes_are_answered(trio: Trio) -> None:
    for command in ("member_add", "member_remove", "transfer"):
        assert ask(trio, 2, command, member=3, address="10.0.0.9")["leader"] == 1
        assert "must be a member's id" in ask(trio, 1, command)["error"]
        assert "must be a member's id" in ask(trio, 1, command, member="h1")["error"]
    assert "Give its 'address'" in ask(trio, 1, "member_add", member=4)["error"]
    assert "not an IPv4 address" in ask(trio, 1, "member_add", member=4, address="h4")["error"]
    assert "255 is not a member id" in ask(trio, 1, "member_add", member=255, address="10.0.0.4")["error"]
    assert ask(trio, 1, "member_remove", member=4)["error"] == "there is no member 4: the members are 1, 2, 3"
    assert "cannot lead" in ask(trio, 1, "transfer", member=4)["error"]
    assert sorted(ask(trio, 1, "members")["members"]) == ["1", "2", "3"]


def test_one_change_at_a_time(trio: Trio) -> None:
    trio.pass_on = lambda message: False
    assert ask(trio, 1, "member_remove", member=3)["ok"]
    trio.settle()
    refused = ask(trio, 1, "member_remove", member=2)
    assert refused["busy"] and "members change already" in refused["error"]
    assert ask(trio, 1, "members")["changing"]


def test_members_who_are_away_take_over_nothing_and_are_left_alone_with_nobody(trio: Trio) -> None:
    trio.pass_on = lambda message: 3 not in (message.source, message.target)
    trio.tick(1, 2, count=2 * ELECTION_TICKS)
    assert ask(trio, 1, "transfer", member=3) == {
        "ok": False,
        "error": "member 3 cannot take over: it has not answered for an election timeout",
    }
    refused = ask(trio, 1, "member_remove", member=2)
    assert not refused["ok"] and "members [3] are silent, and without them" in refused["error"]
    assert "busy" not in refused and not ask(trio, 1, "members")["changing"]
    assert ask(trio, 1, "member_remove", member=3)["ok"]
    trio.tick(1, 2, count=2)
    assert sorted(ask(trio, 1, "members")["members"]) == ["1", "2"]


def test_the_last_member_stays() -> None:
    alone = Trio(members=1)
    alone.elect(1)
    alone.open(1)
    assert "no voters would be left" in ask(alone, 1, "member_remove", member=1)["error"]


# -- what the network is told ---------------------------------------------------------------------------------------


def test_the_network_is_told_at_each_change_and_every_second(trio: Trio) -> None:
    trio.told.clear()
    trio.tick(count=1000)
    assert 9 <= len(trio.told) <= 11
    assert {(message.source, message.target) for message in trio.told} == {(1, EVERYBODY)}, "only the leader tells"
    trio.told.clear()
    assert ask(trio, 1, "member_remove", member=3)["ok"]
    trio.settle()
    core = trio.groups[1].core
    *_, last = trio.told
    assert (last.term, last.index) == (core.current_term, core.configuration.index)
    assert [(member.id, member.votes, member.address) for member in unpack_members(last.data)] == [
        (1, True, "10.0.0.1"),
        (2, True, "10.0.0.2"),
    ]


def test_nothing_uncommitted_is_told(trio: Trio) -> None:
    """A switch that lets someone in too early, or out, acts on what may never be."""
    trio.told.clear()
    trio.pass_on = lambda message: not message.entries
    assert ask(trio, 1, "member_remove", member=3)["ok"]
    trio.tick(1, count=20)
    assert trio.groups[1].core.configuration.is_joint
    assert all(len(unpack_members(message.data)) == 3 and message.index == 0 for message in trio.told)


# -- strangers ------------------------------------------------------------------------------------------------------


def test_a_stranger_with_the_key_is_heard_and_answered() -> None:
    """It may lead by a configuration that is not here yet."""
    message = Message(MessageType.APPEND_ENTRIES, 4, 2, 9, round=1)
    stranger, two = Member(4), Member(2)
    stranger.transport.set_members(1, {2: ADDRESSES[2]})
    assert two.take(*stranger.send(message), source=3) == {}
    assert two.heard == [message]
    two.transport.send_peer(1, Message(MessageType.APPEND_ENTRIES_REPLY, 2, 4, 9, round=1))
    assert [address for _, address in two.socket.sent] == [ADDRESSES[3]]


@pytest.mark.parametrize("key", [None, KEY[::-1]])
def test_a_stranger_without_the_key_is_not(key: bytes | None) -> None:
    message = Message(MessageType.APPEND_ENTRIES, 4, 2, 9, round=1)
    stranger, two = Member(4, key), Member(2, None if key is None else KEY)
    stranger.transport.set_members(1, {2: ADDRESSES[2]})
    assert two.take(*stranger.send(message)) == {"not_member" if key is None else "bad_mac": 1}
    two.transport.send_peer(1, Message(MessageType.APPEND_ENTRIES_REPLY, 2, 4, 9, round=1))
    assert two.socket.sent == []


# -- nodes ----------------------------------------------------------------------------------------------------------


def voters(shown: dict[str, Any]) -> list[int]:
    return sorted(int(member) for member, what in shown["members"].items() if what["votes"])


def test_a_newcomer_catches_up_and_the_leader_goes(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(spares=1)
    made.start()
    with made.client() as client:
        for value in range(20):
            client.append(value)
        made.start(4)
        shown = made.change(lambda shown: voters(shown) == [1, 2, 3, 4], cmd="member_add", member=4)
        assert shown["members"]["4"]["address"] == f"127.0.0.4:{made.port}"
        assert len(made.agree(20)) == 20
        old = made.leader()
        made.change(lambda shown: old not in voters(shown), cmd="member_remove", member=old)
        assert client.append("without it").served_by != old
        made.kill(old)
        made.kill(*(rest := list(made.processes)))
        made.start(*rest)
        assert client.append("after a restart").served_by in rest
        assert len(made.agree(22)) == 22


def test_a_member_that_lost_its_data_comes_back_as_a_newcomer(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster()
    made.start()
    with made.client() as client:
        client.append("kept")
        lost = made.leader() % 3 + 1
        made.kill(lost)
        made.change(lambda shown: lost not in voters(shown), cmd="member_remove", member=lost)
        (made.folder / "nodes" / f"node{lost}").rename(made.folder / "lost")
        made.start(lost, options=("--join",))
        address = f"127.0.0.{lost}"
        made.change(lambda shown: lost in voters(shown), cmd="member_add", member=lost, address=address)
        assert made.agree(1) == ["kept"]


def test_leadership_is_handed_over(cluster: Any) -> None:
    with cluster.client() as client:
        client.append(1)
        successor = cluster.leader() % 3 + 1
        cluster.change(lambda shown: shown["id"] == successor, cmd="transfer", member=successor)
        assert client.append(2).value == 1


def test_nodes_tell_the_service_address(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster()
    text = made.config.read_text()
    made.config.write_text(text.replace("{id: 1,", "{id: 1, service: 127.0.0.99,"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as network:
        network.bind(("127.0.0.99", made.port))
        network.settimeout(60)
        made.start()
        datagram, (source, _) = network.recvfrom(2048)
    header = Header.unpack(datagram)
    assert (header.type, header.target, header.group) == (MessageType.CONFIGURATION, EVERYBODY, 1)
    assert source == f"127.0.0.{header.source}" and header.term >= 1
    told = unpack_members(unpack_peer(header, datagram[40:], cluster=1).data)
    assert [(one.id, one.votes, one.port) for one in told] == [(member, True, made.port) for member in (1, 2, 3)]
    with pytest.raises(WireError):
        unpack_members(datagram[56:-1])


def test_commands_over_the_control_socket(cluster: Any) -> None:
    leader = cluster.leader()
    follower = leader % 3 + 1
    cluster.await_running(follower)
    end = time.monotonic() + 60
    while (refused := cluster.ask(follower, cmd="transfer", member=follower)[0])["leader"] != leader:
        assert time.monotonic() < end
    assert not refused["ok"] and "not the leader" in refused["error"]
    assert cluster.ask(follower, cmd="members", group=9)[0]["error"].startswith("there is no group 9")
    assert cluster.ask(leader, cmd="members")[0]["leads"]
