"""A group on a node: what a leader may tell clients, and what only the log can tell."""

from __future__ import annotations

from random import Random

from hosts import inspection, values
from hosts.config import Address
from hosts.group import Group, Ways
from hosts.machine import Machine
from hosts.raft.core import Config, Raft, Role
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType
from hosts.raft.ready import Ready
from hosts.requests import KNOWS_EXPIRED, Operation, Outcome, Reply, Request, pack_command
from hosts.sessions import DEFAULT_LIMITS, Limits
from hosts.wire import Header
from tests.hosts.groups import Trio, append

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
        ways = Ways(self._send, self._write, self._reply, lambda text: None)
        core = Raft(Config(1, frozenset((1, 2, 3))), HardState(), (), Random(1))
        self.group = Group(1, core, dict(ADDRESSES), ways, machine=Machine(limits))

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
    lines = inspection.raw_log(me.group)
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
    assert narrow.dump() == wide.dump() and narrow.sessions.kept == 296
