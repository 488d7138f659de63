"""Which packets belong to a call: its own, and of the members' those that its entry or its read needs."""

from __future__ import annotations

from dataclasses import replace

from hosts.raft.message import Entry, EntryKind, Message, MessageType
from hosts.wire import Flag, Header, pack_peer
from tests.follow.network import GROUP, LEADER, TERM, TRIANGLE, Lab
from topo.follow.filters import Sent, sent
from topo.follow.story import Call, Story, covers, window

CLIENT = ("10.0.2.22", 40_000)
CLUSTER = TRIANGLE.cluster
WRITE = Call(CLIENT, GROUP, CLUSTER, LEADER, index=12, term=TERM)
READ = Call(CLIENT, GROUP, CLUSTER, LEADER)
BETWEEN = (1000, 2000)


def append(
    net: Lab, target: int, prev: int, entries: int, commit: int = 0, *, at: int = 1500, source: int = LEADER
) -> Sent:
    held = tuple(Entry(TERM, prev + 1 + number, EntryKind.COMMAND, b"data") for number in range(entries))
    term = TERM - 1 if not entries else TERM
    message = Message(MessageType.APPEND_ENTRIES, source, target, TERM, prev, term, commit, entries=held)
    header, payload = pack_peer(message, group=GROUP, cluster=CLUSTER)
    return sent(at, f"h{source}", net.peer(f"h{source}", f"h{target}", header, payload), TRIANGLE.port)


def reply(net: Lab, source: int, match: int, flags: int = 0, *, at: int = 1600) -> Sent:
    header = Header(MessageType.APPEND_ENTRIES_REPLY, source, LEADER, GROUP, TERM, match, flags=flags)
    return sent(at, f"h{source}", net.peer(f"h{source}", "h1", header), TRIANGLE.port)


def asked(net: Lab, *, at: int = 1000) -> Sent:
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=1, log_term=5)
    return sent(at, "h22", net.frame("h22", ("10.0.100.1", TRIANGLE.port), header.pack(), port=40_000), TRIANGLE.port)


def answered(net: Lab, *, at: int = 2000) -> Sent:
    header = Header(MessageType.CLIENT_REPLY, group=GROUP, index=1, log_term=5)
    return sent(at, "h1", net.frame("h1", CLIENT, header.pack()), TRIANGLE.port)


def test_a_write_is_its_entry_on_its_way_to_a_quorum_and_the_news_that_it_is_committed(net: Lab) -> None:
    story = Story(WRITE, BETWEEN)
    given = [
        (append(net, 2, 0, 0, at=900), ""),
        (asked(net), "request"),
        (append(net, 2, 11, 1), "append"),
        (append(net, 3, 10, 3), "append"),
        (append(net, 2, 12, 1), ""),
        (append(net, 2, 10, 1), ""),
        (reply(net, 2, 11), ""),
        (reply(net, 2, 12, Flag.REJECT), ""),
        (reply(net, 2, 12), "acknowledgement"),
        (reply(net, 2, 13), ""),
        (reply(net, 3, 14), "acknowledgement"),
        (answered(net), "answer"),
        (append(net, 2, 0, 0, commit=11, at=2100), ""),
        (append(net, 2, 0, 0, commit=12, at=2200), "commit"),
        (append(net, 3, 0, 0, commit=13, at=2200), "commit"),
        (append(net, 3, 0, 0, commit=13, at=2300), ""),
    ]
    assert [story.role(one) for one, _ in given] == [role for _, role in given]


def test_others_groups_and_members_that_do_not_lead_have_no_part(net: Lab) -> None:
    story = Story(WRITE, BETWEEN)
    one = append(net, 3, 11, 1)
    assert one.header is not None
    assert story.role(replace(one, header=replace(one.header, group=2))) == ""
    assert story.role(append(net, 3, 11, 1, source=2)) == ""
    assert story.role(replace(one, header=replace(one.header, term=TERM - 1))) == ""
    assert Story(replace(WRITE, leader=0, index=0), BETWEEN).role(one) == ""
    assert story.role(one) == "append"


def test_a_read_is_the_rounds_between_request_and_answer(net: Lab) -> None:
    story = Story(READ, BETWEEN)
    given = [
        (append(net, 2, 0, 0, at=999), ""),
        (asked(net), "request"),
        (append(net, 2, 0, 0), "round"),
        (append(net, 3, 0, 0), "round"),
        (reply(net, 3, 12), "round reply"),
        (answered(net), "answer"),
        (reply(net, 2, 12, at=2001), ""),
    ]
    assert [story.role(one) for one, _ in given] == [role for _, role in given]


def question(net: Lab, kind: MessageType, source: int, target: int, *, at: int = 1400) -> Sent:
    header = Header(kind, source, target, GROUP, TERM)
    return sent(at, f"h{source}", net.peer(f"h{source}", f"h{target}", header), TRIANGLE.port)


def test_a_read_at_a_follower_is_its_question_and_the_rounds_that_this_leads_to(net: Lab) -> None:
    story = Story(replace(READ, leader=2), BETWEEN)
    asks, tells = MessageType.READ_INDEX, MessageType.READ_INDEX_REPLY
    given = [
        (asked(net), "request"),
        (append(net, 3, 0, 0), ""),
        (question(net, asks, 3, LEADER), ""),
        (question(net, asks, 2, LEADER, at=999), ""),
        (question(net, asks, 2, LEADER), "question"),
        (append(net, 2, 0, 0), "round"),
        (reply(net, 3, 12), "round reply"),
        (question(net, tells, LEADER, 3), ""),
        (question(net, tells, LEADER, 2), "index"),
        (answered(net), "answer"),
    ]
    assert [story.role(one) for one, _ in given] == [role for _, role in given]


def test_question_and_answer_may_ride_on_the_rounds_messages(net: Lab) -> None:
    def rides(one: Sent) -> Sent:
        assert one.header is not None
        return replace(one, header=replace(one.header, flags=one.header.flags | Flag.MORE))

    def replied(source: int, *, at: int = 1500) -> Sent:
        return rides(question(net, MessageType.APPEND_ENTRIES_REPLY, source, LEADER, at=at))

    story = Story(replace(READ, leader=2), BETWEEN)
    given = [
        (replied(2, at=999), ""),
        (asked(net), "request"),
        (replied(3), ""),
        (replied(2), "question"),
        (append(net, 2, 0, 0), "round"),
        (append(net, 3, 0, 0), "round"),
        (replied(3), "round reply"),
        (rides(append(net, 3, 0, 0)), "round"),
        (rides(append(net, 2, 0, 0)), "index"),
        (answered(net), "answer"),
        (rides(append(net, 2, 0, 0, at=2100)), ""),
    ]
    assert [story.role(one) for one, _ in given] == [role for _, role in given]
    assert Story(WRITE, BETWEEN).role(rides(reply(net, 2, 12))) == "acknowledgement"


def test_the_window_is_from_the_clients_first_packet_to_the_last_one_for_it(net: Lab) -> None:
    assert window([append(net, 2, 0, 0, at=5), asked(net, at=7), asked(net, at=8), answered(net, at=11)], CLIENT) == (
        7,
        11,
    )
    assert window([append(net, 2, 0, 0)], CLIENT) == (0, 0)


def test_of_a_fragment_only_its_header_tells(net: Lab) -> None:
    header = Header(MessageType.APPEND_ENTRIES, LEADER, 2, GROUP, TERM, 11, TERM, flags=Flag.FRAGMENT)
    one = sent(1, "h1", net.peer("h1", "h2", header, b"a part"), TRIANGLE.port)
    assert covers(one, header, 12, CLUSTER) and not covers(one, header, 13, CLUSTER)


def test_a_payload_that_cannot_be_read_carries_nothing(net: Lab) -> None:
    header = Header(MessageType.APPEND_ENTRIES, LEADER, 2, GROUP, TERM, 11, TERM)
    one = sent(1, "h1", net.peer("h1", "h2", header, b"nonsense" * 3), TRIANGLE.port)
    assert not covers(one, header, 12, CLUSTER)
