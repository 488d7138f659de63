"""A group on a node: what a leader may tell clients, and what only the log can tell."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from hosts.config import Address
from hosts.control import views
from hosts.group import EFFORT, Group, GroupOutputs
from hosts.net.batches import MORE, REJECT, unpack_batch
from hosts.raft.core import Config, Raft, Role
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.ready import Ready
from hosts.service import admission, checking, machine_snapshot, values
from hosts.service.machine import Item, Machine
from hosts.service.requests import KNOWS_EXPIRED, Operation, Outcome, Reply, Request, pack_command
from hosts.service.sessions import DEFAULT_LIMITS, Limits
from hosts.wire import Header
from tests.hosts.groups import NONCE, Trio, append, get, put

CLIENT: Address = ("10.0.1.11", 40000)
ADDRESSES: dict[int, Address] = {number: (f"10.0.{number}.{number}", 26410) for number in (1, 2, 3)}
_REPLY_TO = {
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_REPLY,
    MessageType.REQUEST_VOTE: MessageType.REQUEST_VOTE_REPLY,
    MessageType.APPEND_ENTRIES: MessageType.APPEND_ENTRIES_REPLY,
}


class Lone:
    """Member 1 of three with an instantaneous disk; its peers agree with everything while ``heard``."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.replies: list[Reply] = []
        self.heard = True
        self._sent: list[Message] = []
        self._written: list[Ready] = []
        outputs = GroupOutputs(send=self._send, write=self._write, reply=self._reply, note=lambda text: None)
        core = Raft(Config(1, frozenset((1, 2, 3))), HardState(), (), Random(1))
        self.group = Group(1, core, dict(ADDRESSES), outputs, machine=Machine(limits))

    def _send(self, group: int, message: Message) -> None:
        self._sent.append(message)

    def _write(self, group: int, ready: Ready) -> None:
        self._written.append(ready)

    def _reply(self, header: Header, payload: bytes, address: Address) -> None:
        self.replies.append(Reply.unpack(payload))

    def settle(self) -> None:
        self.group.flush()
        while self._written or self._sent:
            while self._written:
                self.group.durable(self._written.pop(0))
            messages, self._sent = self._sent, []
            for message in messages if self.heard else ():
                self.group.step(_agreement(message))
            self.group.flush()

    def lead(self) -> None:
        while self.group.core.role is not Role.LEADER:
            self.group.tick()
            self.settle()

    def request(
        self, session: int, sequence: int, request: Request, *, knows: int = KNOWS_EXPIRED, lowest: int = 1
    ) -> None:
        header = Header(MessageType.CLIENT_REQUEST, 0, 0, 1, knows, index=sequence, log_term=session, commit=lowest)
        self.group.request(header, request.pack(), CLIENT)
        self.settle()

    def open(self, nonce: int) -> int:
        self.request(0, nonce, Request(nonce, Operation.OPEN_SESSION))
        return int(values.decode(self.replies.pop().body))

    def append(self, session: int, nonce: int, sequence: int, lowest: int = 1) -> list[Reply]:
        """What an append is answered: nothing while the others are not heard."""
        self.request(session, sequence, Request(nonce, Operation.APPEND, value=values.encode("x")), lowest=lowest)
        replies, self.replies = self.replies, []
        return replies


def _agreement(message: Message) -> Message:
    index = message.index + len(message.entries) if message.type is MessageType.APPEND_ENTRIES else 0
    asked = 0 if message.type is MessageType.APPEND_ENTRIES else message.term
    kind = _REPLY_TO[message.type]
    return Message(kind, message.target, 1, message.term, index, asked, round=message.round)


def test_a_leader_that_may_be_deposed_does_not_say_that_a_session_is_unknown() -> None:
    """Its successor may have opened it. Told so, a client repeats its request under another session; and a copy of
    the request that the network made and delays is then carried out a second time."""
    me = Lone()
    me.lead()
    write = Request(7, Operation.APPEND, value=values.encode("once"))
    me.heard = False
    me.request(1000, 1, write)
    assert me.group.core.role is Role.LEADER
    assert me.replies == []


def test_a_session_that_no_entry_has_opened_is_unknown() -> None:
    me = Lone()
    me.lead()
    me.request(1000, 1, Request(7, Operation.APPEND, value=values.encode("never")))
    (reply,) = me.replies
    assert reply.outcome is Outcome.UNKNOWN_SESSION
    assert me.group.machine.items == []


def test_a_client_that_does_not_know_of_expired_sessions_is_told_of_an_unknown_one() -> None:
    """As version 0.1 knows it: it would take the other for no answer, and ask for ever."""
    me = Lone(Limits(sessions=1))
    me.lead()
    for nonce in (7, 8):
        me.request(0, nonce, Request(nonce, Operation.OPEN_SESSION))
    session = int(values.decode(me.replies[0].body))
    me.replies.clear()
    for knows, outcome in ((0, Outcome.UNKNOWN_SESSION), (KNOWS_EXPIRED, Outcome.SESSION_EXPIRED)):
        me.request(session, 1, Request(7, Operation.APPEND, value=values.encode("never")), knows=knows)
        assert [reply.outcome for reply in me.replies] == [outcome]
        me.replies.clear()
    assert me.group.machine.items == []


def test_a_deposed_leader_does_not_answer_with_what_another_leaders_entry_did() -> None:
    """Its successor's entry takes the place of the one that its own client waits for. Raft lets a leader send it
    together with the word that it is committed; ours asks first how far a member's log agrees."""
    trio = Trio()
    trio.elect(1)
    mine, theirs = trio.open(1), trio.open(1)
    trio.tick(count=5)
    trio.cut_off(1)
    trio.ask(1, mine, 1, append("mine"))
    trio.settle()
    core = trio.groups[1].core
    at = core.last_index
    (waits,) = core.log.between(at, at, 1, 1 << 20)[0]
    term = waits.term + 1
    other = Entry(term, at, EntryKind.COMMAND, pack_command(theirs, 1, 1, append("theirs").pack()))
    sent = Message(MessageType.APPEND_ENTRIES, 2, 1, term, at - 1, waits.term, at, round=1, entries=(other,))
    trio.groups[1].step(sent)
    trio.settle()
    assert [(item.index, item.term) for item in trio.groups[1].machine.items] == [(at, term)]
    replies = trio.take_replies()
    assert [(member, reply.outcome) for member, reply in replies] == [(1, Outcome.LOST_LEADERSHIP)]


def test_the_raw_log_is_shown_while_its_beginning_goes() -> None:
    me = Lone()
    me.lead()
    log = me.group.core.log
    for _ in range(200):
        log.append(Entry(1, log.last_index + 1, EntryKind.COMMAND, b""))
    lines = views.raw_log(me.group)
    shown = [next(lines)["index"] for _ in range(3)]
    # What a snapshot at 100 leaves.
    del log._entries[:100]
    log.base_index = 100
    *rest, last = list(lines)
    shown += [line["index"] for line in rest]
    assert shown[:3] == [1, 2, 3] and shown[-1] == 201 and shown == sorted(set(shown))
    assert last["count"] == len(shown)


def outcomes(replies: list[Reply]) -> list[Outcome]:
    return [reply.outcome for reply in replies]


def test_who_keeps_too_many_answers_is_told_and_others_go_on() -> None:
    me = Lone(Limits(sessions=4, replies=16))
    me.lead()
    greedy, modest = me.open(7), me.open(8)
    for sequence in range(1, 17):
        assert outcomes(me.append(greedy, 7, sequence)) == [Outcome.OK]
    (refused,) = me.append(greedy, 7, 17)
    assert refused.outcome is Outcome.BUSY
    assert "16 answers are kept" in refused.text and "lowest unanswered sequence is 1" in refused.text
    for sequence in range(1, 40):
        assert outcomes(me.append(modest, 8, sequence, lowest=max(1, sequence - 3))) == [Outcome.OK], "its share is 4"
    assert outcomes(me.append(modest, 8, 44, lowest=36)) == [Outcome.BUSY]
    assert outcomes(me.append(modest, 8, 36, lowest=36)) == [Outcome.OK], "the answer that it has got is kept, too"
    late = me.open(9)
    assert outcomes(me.append(late, 9, 1)) == [Outcome.OK]
    assert outcomes(me.append(greedy, 7, 3)) == [Outcome.OK], "a retry of what was carried out"
    assert outcomes(me.append(greedy, 7, 18, lowest=14)) == [Outcome.OK], "it now says what it has"
    assert outcomes(me.append(greedy, 7, 19, lowest=14)) == [Outcome.OK], "and that makes room"
    assert me.group.machine.sessions.kept == 5 + 4 + 1


def test_the_oldest_request_may_go_whatever_is_kept_behind_it() -> None:
    """Nothing that a client says could else make room: it still waits for this one."""
    me = Lone(Limits(sessions=4, replies=16))
    me.lead()
    first, second = me.open(7), me.open(8)
    for sequence in range(1, 13):
        me.append(second, 8, sequence)
    for sequence in range(2, 6):
        assert outcomes(me.append(first, 7, sequence)) == [Outcome.OK]
    assert outcomes(me.append(first, 7, 6)) == [Outcome.BUSY]
    assert outcomes(me.append(first, 7, 1)) == [Outcome.OK]


def test_what_is_in_the_log_counts_among_the_answers_that_will_be_kept() -> None:
    me = Lone(Limits(sessions=4, replies=16))
    me.lead()
    greedy, other = me.open(7), me.open(8)
    me.heard = False
    waiting = [sequence for sequence in range(1, 30) if not me.append(greedy, 7, sequence)]
    assert waiting == list(range(1, 17)), "the others are refused at once"
    assert [me.append(other, 8, sequence) for sequence in range(1, 5)] == [[]] * 4
    assert outcomes(me.append(other, 8, 5)) == [Outcome.BUSY]


def test_a_log_that_keeps_more_than_a_leader_would_take_now_is_applied_as_before() -> None:
    narrow, wide = Machine(Limits(replies=1)), Machine()
    for index in range(1, 300):
        session, nonce = (0, index) if index < 4 else (1 + index % 3, 1 + index % 3)
        operation = Operation.OPEN_SESSION if index < 4 else Operation.APPEND
        value = b"" if index < 4 else values.encode(index)
        data = pack_command(session, index, 1, Request(nonce, operation, value=value).pack())
        entry = Entry(1, index, EntryKind.COMMAND, data)
        assert narrow.apply(entry) == wide.apply(entry)
    assert machine_snapshot.dump(narrow) == machine_snapshot.dump(wide) and narrow.sessions.kept == 296


# -- what takes long ------------------------------------------------------------------------------------------------


def slow_put(key: str, steps: int = 40, *, good: bool = True) -> Request:
    """One whose value takes so many steps to be looked through."""
    count = steps * checking.STEP_BYTES - 5
    data = b"\xdd" + count.to_bytes(4, "big") + b"\x01" * (count - 1) + (b"\x01" if good else b"\xc1")
    return Request(NONCE, Operation.PUT, key=values.encode(key), value=data)


def test_a_large_value_is_looked_through_between_heartbeats() -> None:
    """It takes many flushes, after each of which the leader can send, and hear; only then is it in the log."""
    trio = Trio()
    trio.elect(1)
    session, leader = trio.open(1), trio.groups[1]
    before, flushes = leader.core.last_index, 0
    trio.ask(1, session, 1, slow_put("k"))
    while leader.core.last_index == before:
        assert leader.busy and leader.candidates == 1 and trio.replies == []
        leader.flush()
        flushes += 1
    assert 38 <= flushes <= 41
    trio.settle()
    assert [(member, reply.outcome) for member, reply in trio.take_replies()] == [(1, Outcome.OK)]
    trio.tick(count=10)
    assert all(group.machine.pairs[values.encode("k")] == slow_put("k").value for group in trio.groups.values())


def test_a_small_request_overtakes_a_large_one() -> None:
    trio = Trio()
    trio.elect(1)
    session, leader = trio.open(1), trio.groups[1]
    trio.ask(1, session, 1, slow_put("k"))
    trio.ask(1, session, 2, put("k", "small"), lowest=1)
    assert leader.candidates == 1
    trio.settle()
    assert [(reply.outcome, reply.index) for _, reply in trio.take_replies()] == [(Outcome.OK, 3), (Outcome.OK, 4)]
    assert leader.machine.pairs[values.encode("k")] == slow_put("k").value, "the large one came last"


def test_large_ones_take_turns() -> None:
    """One that is half as long as another is looked through first, although it came later."""
    trio = Trio()
    trio.elect(1)
    session, leader = trio.open(1), trio.groups[1]
    trio.ask(1, session, 1, slow_put("long", 40))
    trio.ask(1, session, 2, slow_put("short", 20), lowest=1)
    assert leader.candidates == 2
    trio.settle()
    assert [header.index for _, header, _ in trio.replies] == [2, 1]
    assert list(leader.machine.pairs) == [values.encode("short"), values.encode("long")]


def test_a_large_value_that_is_none_never_enters_the_log() -> None:
    trio = Trio()
    trio.elect(1)
    session, leader = trio.open(1), trio.groups[1]
    before = leader.core.last_index
    no_key = Request(NONCE, Operation.GET, bytes(slow_put("k", good=False).value))
    for sequence, request in enumerate((slow_put("k", good=False), no_key)):
        reply = trio.do(1, session, sequence, request)
        assert reply.outcome is Outcome.BAD_REQUEST and "not a value" in reply.text
    assert leader.core.last_index == before and not leader.busy


def test_a_retry_of_what_is_looked_through_is_no_second_request() -> None:
    trio = Trio()
    trio.elect(1)
    session = trio.open(1)
    for _ in range(3):
        trio.ask(1, session, 1, slow_put("k"))
        assert trio.groups[1].candidates == 1
        trio.groups[1].flush()
    trio.settle()
    assert len(trio.take_replies()) == 1


def test_a_leader_that_is_deposed_sends_its_candidates_to_the_next() -> None:
    trio = Trio()
    trio.elect(1)
    session = trio.open(1)
    trio.ask(1, session, 1, slow_put("k"))
    trio.groups[1].flush()
    term = trio.groups[1].core.current_term + 1
    trio.groups[1].step(Message(MessageType.APPEND_ENTRIES, 2, 1, term, round=1))
    trio.settle()
    ((member, reply),) = trio.take_replies()
    assert (member, reply.outcome, reply.leader) == (1, Outcome.NOT_LEADER, 2)
    assert trio.groups[1].candidates == 0 and not trio.groups[1].busy


def test_candidates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_CANDIDATE_BYTES", admission.MAX_CANDIDATE_BYTES // 16)
    trio = Trio()
    trio.elect(1)
    session = trio.open(1)
    value = slow_put("k").value
    fit = admission.MAX_CANDIDATE_BYTES // (len(value) + 30)
    assert fit > 3
    for sequence in range(fit + 3):
        trio.ask(1, session, sequence + 1, slow_put("k"), lowest=1)
    busy = [reply.outcome for _, reply in trio.take_replies()]
    assert busy == [Outcome.BUSY] * 3 and trio.groups[1].candidates == fit
    trio.settle()
    assert {reply.outcome for _, reply in trio.take_replies()} == {Outcome.OK}


def test_much_to_apply_is_applied_between_heartbeats() -> None:
    alone = Trio(members=1)
    alone.elect(1)
    session, group = alone.open(1), alone.groups[1]
    for sequence in range(1, 1001):
        alone.ask(1, session, sequence, append(sequence))
    before = group.machine.applied_index
    alone.settle(to_the_end=False)
    assert group.core.commit_index >= before + 1000 and group.busy
    most, at = 0, group.machine.applied_index
    while group.busy:
        group.flush()
        most, at = max(most, group.machine.applied_index - at), group.machine.applied_index
    assert 0 < most <= EFFORT and at == group.core.commit_index
    assert len(alone.take_replies()) == 1000


def test_a_leader_with_too_many_requests_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hosts.group.MAX_WAITING", 3)
    trio = Trio()
    trio.elect(1)
    session = trio.open(1)
    for sequence in range(1, 6):
        trio.ask(1, session, sequence, append(sequence), lowest=1)
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.BUSY] * 2
    trio.settle()
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.OK] * 3


def test_a_leader_far_behind_with_applying_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Trio(members=1)
    alone.elect(1)
    session = alone.open(1)
    for sequence in range(1, 1001):
        alone.ask(1, session, sequence, append(sequence))
    alone.settle(to_the_end=False)
    alone.take_replies()
    monkeypatch.setattr("hosts.group.MAX_WAITING", 500)
    alone.ask(1, session, 1001, append("too much"))
    ((_, reply),) = alone.take_replies()
    assert reply.outcome is Outcome.BUSY and "entries wait" in reply.text
    alone.settle()
    alone.take_replies()
    assert alone.do(1, session, 1001, append("now")).outcome is Outcome.OK


@pytest.mark.parametrize("through_log", [False, True])
def test_reads_of_a_long_list_are_answered_between_heartbeats(through_log: bool) -> None:
    """Each gives much: a few at a time, however many were asked for."""
    alone = Trio(members=1, reads_through_log=through_log)
    alone.elect(1)
    session, group = alone.open(1), alone.groups[1]
    group.machine.items += [Item(2, 1, b"\x01")] * 50_000
    for sequence in range(1, 201):
        alone.ask(1, session, sequence, Request(NONCE, Operation.READ_LIST, start=0, limit=65_535))
    alone.settle(to_the_end=False)
    most, answered = 0, len(alone.take_replies())
    while group.busy:
        group.flush()
        some = len(alone.take_replies())
        most, answered = max(most, some), answered + some
    assert answered == 200 and most <= 2


def test_keys_that_wait_to_be_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hosts.service.pending_reads.MAX_READER_BYTES", 3000)
    trio = Trio()
    trio.elect(1)
    session = trio.open(1)
    for sequence in range(1, 5):
        trio.ask(1, session, sequence, get(f"{sequence}" * 900))
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.BUSY]
    trio.settle()
    assert [reply.outcome for _, reply in trio.take_replies()] == [Outcome.OK] * 3
    assert trio.do(1, session, 5, get("k" * 900)).outcome is Outcome.OK


def test_who_leads_no_more_tells_its_clients_between_other_things() -> None:
    trio = Trio()
    trio.elect(1)
    session, old = trio.open(1), trio.groups[1]
    trio.cut_off(1)
    for sequence in range(1, 501):
        trio.ask(1, session, sequence, append(sequence))
        trio.ask(1, session, 1000 + sequence, get("k"))
    trio.settle()
    term = old.core.current_term + 1
    old.step(Message(MessageType.APPEND_ENTRIES, 2, 1, term, round=1))
    outcomes: list[Outcome] = []
    while not outcomes or old.busy:
        old.flush()
        told = [reply.outcome for _, reply in trio.take_replies()]
        assert len(told) <= EFFORT
        outcomes += told
    assert Counter(outcomes) == {Outcome.LOST_LEADERSHIP: 500, Outcome.NOT_LEADER: 500}


def test_requests_of_a_batch_that_are_refused_share_datagrams() -> None:
    trio = Trio()
    trio.elect(1)
    for sequence in range(1, 26):
        header = Header(MessageType.CLIENT_REQUEST, index=sequence, log_term=2, flags=MORE)
        trio.groups[2].request(header, append(sequence).pack(), CLIENT)
    assert trio.batches == []
    trio.groups[2].flush()
    ((header, payload),) = trio.batches
    assert header.flags == MORE | REJECT
    refused = [(sequence, Reply.unpack(part)) for sequence, part in unpack_batch(payload)]
    assert [sequence for sequence, _ in refused] == list(range(1, 26))
    assert {(reply.outcome, reply.leader) for _, reply in refused} == {(Outcome.NOT_LEADER, 1)}
