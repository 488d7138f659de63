"""The state machine: results, retries, sessions; all of it a function of the log."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

from hosts.raft.message import Entry, EntryKind
from hosts.service import machine, machine_snapshot, sessions, values
from hosts.service.machine import Answer, Machine
from hosts.service.requests import Command, Operation, Outcome, Reply, Request, RequestFault
from hosts.service.sessions import DEFAULT_LIMITS, Limits

NONCE = 77


class Log:
    """Appends entries to a machine."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.machine = Machine(limits)
        self.entries: list[Entry] = []

    def entry(self, kind: EntryKind, data: bytes) -> Answer | None:
        entry = Entry(3, len(self.entries) + 1, kind, data)
        self.entries.append(entry)
        return self.machine.apply(entry)

    def run(self, session: int, sequence: int, lowest: int, request: Request) -> Reply:
        answer = self.entry(EntryKind.COMMAND, Command(session, sequence, lowest, request).pack())
        assert answer is not None and (answer.session, answer.sequence) == (session, sequence)
        return answer.reply

    def open(self, nonce: int = NONCE) -> int:
        reply = self.run(0, nonce, 0, Request(nonce, Operation.OPEN_SESSION))
        assert reply.outcome is Outcome.OK
        session = values.decode(reply.body)
        assert isinstance(session, int)
        return session


def append(value: object, nonce: int = NONCE) -> Request:
    return Request(nonce, Operation.APPEND, value=values.encode(value))


def result(reply: Reply) -> object:
    assert reply.outcome is Outcome.OK, reply.text
    return values.decode(Reply.unpack(reply.pack()).body)


def held(log: Log) -> list[object]:
    return [values.decode(item.value) for item in log.machine.items]


@pytest.fixture
def log() -> Iterator[Log]:
    yield Log()


def test_results(log: Log) -> None:
    assert log.entry(EntryKind.NOOP, b"") is None
    me = log.open()
    assert me == 2
    assert result(log.run(me, 1, 1, append(0))) == 0
    assert result(log.run(me, 2, 2, append([1, None]))) == 1
    key = values.encode("k")
    get = Request(NONCE, Operation.GET, key=key)
    assert result(log.run(me, 3, 3, get)) == [False, None]
    assert result(log.run(me, 4, 4, Request(NONCE, Operation.PUT, key=key, value=values.encode(None)))) is False
    assert result(log.run(me, 5, 5, get)) == [True, None]
    assert result(log.run(me, 6, 6, Request(NONCE, Operation.PUT, key=key, value=values.encode(2)))) is True
    assert result(log.run(me, 7, 7, Request(NONCE, Operation.DELETE, key=key))) is True
    assert result(log.run(me, 8, 8, Request(NONCE, Operation.DELETE, key=key))) is False
    assert result(log.run(me, 9, 9, Request(NONCE, Operation.READ_LIST, start=1, limit=9))) == [2, [[1, None]]]
    assert result(log.run(me, 10, 10, Request(NONCE, Operation.READ_LIST, start=5, limit=9))) == [2, []]
    assert [item.index for item in log.machine.items] == [3, 4]


def test_keys_of_different_types_differ(log: Log) -> None:
    me = log.open()
    for sequence, key in enumerate([1, True, 1.0, "1", b"1", None], 1):
        request = Request(NONCE, Operation.PUT, key=values.encode(key), value=values.encode(sequence))
        assert result(log.run(me, sequence, sequence, request)) is False
    assert len(log.machine.pairs) == 6


def test_a_long_list_is_read_in_parts(log: Log) -> None:
    me = log.open()
    for sequence in range(1, 5):
        log.run(me, sequence, sequence, append(b"x" * (machine.READ_LIST_BYTES // 2)))
    first = result(log.run(me, 5, 5, Request(NONCE, Operation.READ_LIST, start=0, limit=100)))
    assert isinstance(first, list) and first[0] == 4 and len(first[1]) == 1
    log.run(me, 6, 6, append(b"x" * (machine.READ_LIST_BYTES * 2)))
    last = result(log.run(me, 7, 7, Request(NONCE, Operation.READ_LIST, start=4, limit=100)))
    assert isinstance(last, list) and len(last[1]) == 1


@pytest.mark.parametrize("length", [0, 1, 15, 16, 255, 256, 65_535, 65_536])
def test_lists_of_any_length_are_read(log: Log, length: int) -> None:
    log.machine.add_items((1, 1, values.encode(None)) for _ in range(length))
    read = Request(NONCE, Operation.READ_LIST, start=0, limit=2**32 - 1)
    reply = log.machine.read(log.open(), read)
    assert result(reply) == [length, [None] * min(length, machine.READ_LIST_VALUES)]


def test_a_retry_is_answered_and_not_executed(log: Log) -> None:
    me = log.open()
    first = log.run(me, 1, 1, append("a"))
    log.run(me, 2, 1, append("b"))
    assert log.run(me, 1, 1, append("a")) == first
    assert held(log) == ["a", "b"]


def test_a_gap_is_no_duplicate(log: Log) -> None:
    """De-duplication by the highest sequence alone would lose sequence 1 here."""
    me = log.open()
    log.run(me, 2, 1, append("second"))
    assert result(log.run(me, 1, 1, append("first"))) == 1
    assert held(log) == ["second", "first"]


def test_what_the_client_gave_up_is_stale(log: Log) -> None:
    me = log.open()
    log.run(me, 2, 2, append("b"))
    assert log.run(me, 1, 1, append("a")).outcome is Outcome.STALE
    assert held(log) == ["b"]
    log.run(me, 3, 3, append("c"))
    assert log.run(me, 2, 2, append("b")).outcome is Outcome.STALE, "its reply is kept no longer"
    assert held(log) == ["b", "c"]


def test_unknown_sessions(log: Log) -> None:
    assert log.run(9, 1, 1, append("a")).outcome is Outcome.UNKNOWN_SESSION
    me = log.open()
    assert log.run(me, 1, 1, append("a", nonce=78)).outcome is Outcome.UNKNOWN_SESSION, "another client's"
    assert held(log) == []


def test_opening_twice_opens_once(log: Log) -> None:
    assert log.open() == log.open()
    assert log.open(5) != log.open(6)
    assert len(log.machine.sessions) == 3


def test_too_many_outstanding(log: Log) -> None:
    me = log.open()
    assert log.run(me, 1 + sessions.MAX_OUTSTANDING, 1, append("a")).outcome is Outcome.BAD_REQUEST
    assert log.run(me, sessions.MAX_OUTSTANDING, 1, append("b")).outcome is Outcome.OK
    assert held(log) == ["b"]


def test_expiry_by_progress() -> None:
    log = Log(Limits(expiry_entries=10))
    idle, busy = log.open(1), log.open(2)
    for sequence in range(1, 10):
        log.run(busy, sequence, sequence, append(sequence, nonce=2))
    assert idle in log.machine.sessions
    log.run(busy, 10, 10, append(10, nonce=2))
    assert idle not in log.machine.sessions and busy in log.machine.sessions
    assert log.run(idle, 1, 1, append("late", nonce=1)).outcome is Outcome.SESSION_EXPIRED
    assert "late" not in held(log)
    assert log.open(1) != idle


@pytest.mark.parametrize("through_snapshot", [False, True], ids=["log", "snapshot"])
@pytest.mark.parametrize("others", [9, 10])
def test_nothing_is_executed_after_expiry(through_snapshot: bool, others: int) -> None:
    """A session serves the tenth entry after its last use and not the eleventh, also where its use and its expiry lie
    on two sides of a snapshot; then not even an earlier write is answered from it, let alone done again."""
    log = Log(Limits(expiry_entries=10))
    other, idle = log.open(2), log.open(1)
    first = log.run(idle, 1, 1, append("once", nonce=1))
    for sequence in range(1, others + 1):
        if through_snapshot and sequence == 5:
            restored = Log(Limits(expiry_entries=10))
            machine_snapshot.load(restored.machine, machine_snapshot.dump(log.machine))
            restored.entries = log.entries
            log = restored
        log.run(other, sequence, sequence, append(sequence, nonce=2))
    again = log.run(idle, 1, 1, append("once", nonce=1))
    if others == 9:
        assert again == first
    else:
        assert (again.outcome, again.text) == (
            Outcome.UNKNOWN_SESSION,
            "the session was never opened, or has expired",
        )
        for sequence, outcome in ((1, Outcome.UNKNOWN_SESSION), (2, Outcome.SESSION_EXPIRED)):
            late = log.run(idle, sequence, 1, append("twice", nonce=1))
            assert late.outcome is outcome
            put = Request(1, Operation.PUT, key=values.encode("k"), value=values.encode(1))
            assert log.run(idle, sequence, 1, put).outcome is outcome
        assert log.machine.read(idle, Request(1, Operation.GET, key=values.encode("k"))).outcome is not Outcome.OK
    assert held(log) == ["once", *range(1, others + 1)] and not log.machine.pairs


def test_the_longest_unused_session_makes_room() -> None:
    log = Log(Limits(sessions=3))
    first, second, third = log.open(1), log.open(2), log.open(3)
    log.run(first, 1, 1, append("x", nonce=1))
    fourth = log.open(4)
    assert second not in log.machine.sessions
    assert all(session in log.machine.sessions for session in (first, third, fourth))


def outcomes(log: Log, session: int, nonce: int, sequences: Iterable[int]) -> list[Outcome]:
    """How requests of these sequences end; none must be carried out."""
    before = held(log)
    found = [log.run(session, sequence, 1, append("never", nonce)).outcome for sequence in sequences]
    assert held(log) == before
    return found


@pytest.mark.parametrize("through_snapshot", [False, True], ids=["log", "snapshot"])
def test_a_forgotten_session_tells_what_it_surely_never_carried_out(through_snapshot: bool) -> None:
    """Of several outstanding requests any may be carried out first: only what lies above all of them is certain."""
    log = Log(Limits(sessions=2))
    idle, waits = log.open(1), log.open(2)
    log.run(waits, 7, 5, append("the last of 5, 6, 7", nonce=2))
    log.run(waits, 6, 5, append("then this one", nonce=2))
    given_up = log.open(3)  # idle goes
    log.run(given_up, 4, 4, append("x", nonce=3))
    log.run(given_up, 9, 9, Request(3, Operation.GET, key=values.encode("k")))
    log.open(4)  # waits goes
    log.open(5)  # given_up goes
    if through_snapshot:
        dumped = machine_snapshot.dump(log.machine)
        restored = Log(Limits(sessions=2))
        machine_snapshot.load(restored.machine, dumped)
        restored.entries = log.entries
        assert machine_snapshot.dump(restored.machine) == dumped
        log = restored
    unknown, expired = Outcome.UNKNOWN_SESSION, Outcome.SESSION_EXPIRED
    assert outcomes(log, idle, 1, (1, 2, 2**64 - 1)) == [expired] * 3, "it has never done anything"
    assert outcomes(log, waits, 2, (4, 5, 6, 7, 8)) == [unknown] * 4 + [expired], "5 was not done, but who knows"
    assert outcomes(log, given_up, 3, (4, 8, 9)) == [unknown, unknown, expired], (
        "8 was given up: it may be asked no more"
    )
    assert outcomes(log, waits, 1, (8,)) == [unknown], "another client's"
    assert outcomes(log, waits + 1000, 2, (8,)) == [unknown], "never opened"


def test_a_session_opened_again_under_its_nonce_is_another() -> None:
    log = Log(Limits(sessions=2))
    first = log.open(1)
    log.run(first, 1, 1, append("x", nonce=1))
    log.open(2)
    log.open(3)
    again = log.open(1)
    assert again != first
    assert outcomes(log, first, 1, (1, 2)) == [Outcome.UNKNOWN_SESSION, Outcome.SESSION_EXPIRED]
    assert result(log.run(again, 1, 1, append("y", nonce=1))) == 1


def test_the_oldest_trace_is_dropped() -> None:
    log = Log(Limits(sessions=1, traces=2))
    opened = [log.open(nonce) for nonce in range(1, 5)]
    assert log.machine.sessions.trace_count == 2
    found = [outcomes(log, session, nonce, (1,))[0] for nonce, session in enumerate(opened[:3], 1)]
    assert found == [Outcome.UNKNOWN_SESSION, Outcome.SESSION_EXPIRED, Outcome.SESSION_EXPIRED]
    again = Log(Limits(sessions=1, traces=2))
    for entry in log.entries:
        again.entry(entry.kind, entry.data)
    assert machine_snapshot.dump(again.machine) == machine_snapshot.dump(log.machine)


def test_the_count_of_kept_replies_is_right_whatever_happens() -> None:
    chance = random.Random(6)
    limits = Limits(sessions=4, expiry_entries=60, traces=3)
    log = Log(limits)
    opened = [(log.open(nonce), nonce) for nonce in range(1, 4)]
    most = 0
    for turn in range(1500):
        what = chance.random()
        if what < 0.02:
            opened[chance.randrange(3)] = (log.open(turn + 10), turn + 10)
        elif what < 0.04:
            restored = Log(limits)
            machine_snapshot.load(restored.machine, machine_snapshot.dump(log.machine))
            restored.entries, log = log.entries, restored
        session, nonce = opened[chance.randrange(3)]
        log.run(session, chance.randrange(30), chance.choice((1, chance.randrange(20))), append(turn, nonce))
        count = sum(len(found.replies) for found in log.machine.sessions._sessions.values())
        assert log.machine.sessions.kept == count
        most = max(most, count)
    assert most > 30 and log.machine.sessions.trace_count == 3


def test_a_kept_reply_takes_about_as_much_memory_as_is_said(log: Log) -> None:
    me = log.open()
    for sequence in range(1, 200):
        log.run(me, sequence, 1, append(0))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = log.machine.sessions
    for sequence in range(1000, 11_000):
        kept.keep(
            me, sequence, Reply(NONCE, Outcome.OK, index=2**40 + sequence, term=9, body=values.encode(sequence))
        )
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.5 < grown / 10_000 / sessions.KEPT_REPLY_BYTES < 1.2


FORMER_DUMP = (
    "000000099200960109030301030000001e920193930303c40492a17601930403c40492a17602930503c40492a176030000000a92029192c401"
    "01c401c00000004792039195024e0702929204c41b000000000000004e000000000000000000070000000000000003c39205c41b0000000000"
    "00004e000000000000000000060000000000000003c20000004792039195014d0803929203c41b000000000000004d00000000000000000005"
    "0000000000000003029205c41b000000000000004d000000000000000000080000000000000003c2000000119203919509cfffffffffffffff"
    "ff090090"
)
"""As version 0.1 dumped it: lists from session 1, writes out of order from session 2, a third without any."""


def test_a_dump_of_version_0_1_is_read_and_written() -> None:
    log = Log()
    machine_snapshot.load(log.machine, bytes.fromhex(FORMER_DUMP))
    assert machine_snapshot.dump(log.machine).hex() == FORMER_DUMP, "without traces, that version could read it"
    log.entries = [Entry(3, index, EntryKind.NOOP) for index in range(1, 10)]
    assert held(log) == [["v", 1], ["v", 2], ["v", 3]] and len(log.machine.sessions) == 3
    assert result(log.run(1, 5, 3, append("carried out then", nonce=77))) is False
    assert result(log.run(2, 4, 2, append("carried out then", nonce=78))) is True
    assert result(log.run(2, 6, 2, append("new", nonce=78))) == 3


def test_replaying_the_log_gives_the_same_state(log: Log) -> None:
    source = random.Random(4)
    mine = [(log.open(nonce), nonce) for nonce in (1, 2, 3)]
    for _ in range(500):
        session, nonce = source.choice(mine)
        sequence = source.randrange(1, 30)
        request = append(source.random(), nonce=nonce)
        if source.random() < 0.3:
            request = Request(nonce, Operation.PUT, key=values.encode(source.randrange(5)), value=request.value)
        log.run(session, sequence, source.randrange(1, sequence + 1), request)
    again = Machine()
    for entry in log.entries:
        again.apply(entry)
    assert again.items == log.machine.items and again.pairs == log.machine.pairs
    assert 0 < len(again.items) < 90


def test_hostile_entries_change_nothing(log: Log) -> None:
    source = random.Random(5)
    me = log.open()
    good = Command(me, 1, 1, append("a")).pack()
    for _ in range(2000):
        data = bytearray(good[: source.randrange(len(good) + 1)])
        for _ in range(source.randrange(3)):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        log.entry(EntryKind.COMMAND, bytes(data))
    with pytest.raises(ValueError, match="was to be applied after"):
        log.machine.apply(Entry(9, 1, EntryKind.NOOP))


def test_requests_round_trip_and_are_checked() -> None:
    for request in (
        append({"a": 1}),
        Request(1, Operation.PUT, key=values.encode("k"), value=values.encode(b"v")),
        Request(1, Operation.GET, key=values.encode("k")),
        Request(1, Operation.DELETE, key=values.encode(5)),
        Request(1, Operation.READ_LIST, start=3, limit=9),
        Request(1, Operation.OPEN_SESSION),
    ):
        assert Request.unpack(request.pack()) == request
        request.check_values()
    for broken in (append(1), Request(1, Operation.PUT, key=b"\xc1", value=b"\x01")):
        with pytest.raises(RequestFault):
            Request.unpack(broken.pack() + b"\x01\x01" if broken.key == b"" else broken.pack()).check_values()
    for payload in (b"", bytes(8), bytes(9), bytes(8) + b"\x03", bytes(8) + b"\x06" + bytes(11)):
        with pytest.raises(RequestFault):
            Request.unpack(payload)
    reply = Reply(2**64 - 1, Outcome.NOT_LEADER, leader=3, body=b"10.0.0.1:5")
    assert Reply.unpack(reply.pack()) == reply
    for payload in (b"", reply.pack()[:25], reply.pack()[:8] + b"\xff" + reply.pack()[9:]):
        with pytest.raises(RequestFault):
            Reply.unpack(payload)


def test_a_snapshot_goes_on_like_its_original(log: Log) -> None:
    """Values, keys, sessions, kept replies and the order in which sessions expire."""
    me, other = log.open(), log.open(NONCE + 1)
    for sequence in range(1, 6):
        log.run(me, sequence, 1, append([sequence, b"x"]))
    for key in ("b", "a", 1):
        log.run(other, 1 + len(log.machine.pairs), 1, _put(key, log.machine.applied_index, NONCE + 1))
    log.run(me, 7, 3, append(None))
    dumped = machine_snapshot.dump(log.machine)
    copy = Log()
    machine_snapshot.load(copy.machine, dumped)
    copy.entries = list(log.entries)
    assert machine_snapshot.dump(copy.machine) == dumped
    for either in (log, copy):
        assert result(either.run(me, 4, 3, append("a retry"))) == 3
        assert either.run(me, 1, 3, append("answered long ago")).outcome is Outcome.STALE
        assert result(either.run(other, 9, 9, _put("c", 1, NONCE + 1))) is False
    assert machine_snapshot.dump(copy.machine) == machine_snapshot.dump(log.machine) and held(copy) == held(log)


def test_equal_logs_have_equal_snapshots_wherever_one_was_loaded() -> None:
    first, second = Log(), Log()
    me = first.open()
    for sequence, key in enumerate("abca", 1):
        first.run(me, sequence, 1, _put(key, sequence, NONCE))
    machine_snapshot.load(second.machine, machine_snapshot.dump(first.machine))
    second.entries = list(first.entries)
    for each in (first, second):
        each.run(me, 5, 5, Request(NONCE, Operation.DELETE, key=values.encode("b")))
        each.run(me, 6, 6, _put("d", 1, NONCE))
        each.run(me, 7, 6, _put("b", 1, NONCE))
    assert machine_snapshot.dump(first.machine) == machine_snapshot.dump(second.machine)
    assert [values.decode(key) for key in second.machine.pairs] == ["a", "c", "d", "b"]


@pytest.mark.parametrize("at", [0, 1, 3, 5, 8, 9, 100])
def test_a_dump_is_of_its_beginning_whatever_happens_meanwhile(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(machine_snapshot, "SLICE_OBJECTS", 2)
    log = Log(Limits(sessions=3))
    log.open(NONCE + 10)
    log.open(NONCE + 11)
    me, other = log.open(), log.open(NONCE + 1)
    for sequence in range(1, 6):
        log.run(me, sequence, 1, _put(sequence, sequence, NONCE))
        log.run(other, sequence, 1, append(sequence, NONCE + 1))
    whole = machine_snapshot.dump(log.machine)
    going = machine_snapshot.Dump(log.machine)
    parts = list(islice(going, at))
    log.run(me, 6, 2, _put(1, "changed", NONCE))
    log.run(me, 7, 2, Request(NONCE, Operation.DELETE, key=values.encode(2)))
    log.run(me, 8, 2, _put(2, "back", NONCE))
    log.run(me, 9, 2, _put("new", 1, NONCE))
    log.run(other, 9, 9, append("more", NONCE + 1))
    parts += list(islice(going, 1))
    log.open(NONCE + 2)
    log.open(NONCE + 3)  # and the first one goes
    parts += list(going)
    going.close()
    assert b"".join(parts) == whole
    log.run(other, 10, 10, _put(3, "nothing is preserved any more", NONCE + 1))
    copy = Log()
    machine_snapshot.load(copy.machine, machine_snapshot.dump(log.machine))
    assert copy.machine.pairs == log.machine.pairs and list(copy.machine.pairs) == list(log.machine.pairs)


def test_large_values_have_slices_to_themselves(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_snapshot, "SLICE_BYTES", 100)
    me = log.open()
    for sequence, size in enumerate((1, 99, 300, 1000, 5, 101), 1):
        log.run(me, sequence, sequence, append(b"v" * size))
        log.run(me, sequence + 10, sequence, _put(sequence, b"p" * size, NONCE))
    assert max(map(len, machine_snapshot.Dump(log.machine))) < 300
    whole, copy = machine_snapshot.dump(log.machine), Log()
    machine_snapshot.load(copy.machine, whole)
    assert machine_snapshot.dump(copy.machine) == whole and held(copy) == held(log)
    assert copy.machine.pairs == log.machine.pairs
    for cut in range(0, len(whole), 61):
        with pytest.raises(ValueError, match="cannot be read"):
            machine_snapshot.load(Log().machine, whole[:cut])


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_damaged_snapshot_changes_nothing(log: Log, cut: int) -> None:
    log.run(log.open(), 1, 1, append(1))
    before = machine_snapshot.dump(log.machine)
    with pytest.raises(ValueError, match="cannot be read"):
        machine_snapshot.load(log.machine, before[:cut])
    assert machine_snapshot.dump(log.machine) == before


def _put(key: object, value: object, nonce: int) -> Request:
    return Request(nonce, Operation.PUT, key=values.encode(key), value=values.encode(value))
