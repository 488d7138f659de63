"""What a client does where answers are late, and where none come: to repeat what is only late makes it later."""

from __future__ import annotations

from collections import deque

import pytest

from hosts.client.calls import FIRST_PATIENCE_S, MAX_FIRST_PATIENCE_S, MAX_PATIENCE_S, Patience
from hosts.net.batches import unpack_batch
from hosts.raft.message import MessageType
from hosts.service import values
from hosts.service.requests import Operation
from hosts.wire import Flag, Header
from tests.hosts.client.test_spread import KEY, LEADER, SERVICE, Asked

TICK_S = 0.01
SESSION = 5
FALSE = values.encode(False)


def put(asked: Asked) -> None:
    asked.begin(Operation.PUT, key=KEY, value=KEY)


def sequences(asked: Asked) -> list[list[int]]:
    """Of the requests in each datagram that is sent now."""
    sent = asked.sent()
    return [
        [sequence for sequence, _ in unpack_batch(body)] if header.flags & Flag.MORE else [header.index]
        for (header, _), body in zip(sent, asked.bodies, strict=True)
    ]


def to(sequence: int) -> Header:
    return Header(MessageType.CLIENT_REQUEST, index=sequence, log_term=SESSION)


def test_patience_begins_at_its_least_and_doubles() -> None:
    patience = Patience()
    assert [patience.after(silences) for silences in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    for _ in range(50):
        patience.answered(0.0, 0.003)
    assert patience.after(0) == FIRST_PATIENCE_S and patience.after(9) == MAX_PATIENCE_S


def test_patience_follows_what_answers_take() -> None:
    patience = Patience()
    for _ in range(100):
        patience.answered(0.0, 1.0)
    assert 1.0 < patience.after(0) < 1.1, "nothing varies any more"
    assert patience.after(0) == patience.after(3), "it is beyond where silence makes it longer"
    for _ in range(100):
        patience.answered(0.0, 60.0)
    assert patience.after(0) == MAX_FIRST_PATIENCE_S
    for _ in range(100):
        patience.answered(0.0, 0.003)
    assert patience.after(0) == FIRST_PATIENCE_S, "it is forgotten"


def test_what_varies_is_waited_for() -> None:
    patience = Patience()
    for number in range(100):
        patience.answered(0.0, 0.05 + 0.2 * (number % 2))
    assert patience.after(0) > 0.4


def test_what_was_lost_says_nothing_of_how_long_answers_take() -> None:
    patience = Patience()
    for number in range(100):
        patience.answered(number + 0.5, number + 0.503)
        patience.answered(number, number + 1.0, tries=2)
    assert patience.after(0) == FIRST_PATIENCE_S
    for number in range(100, 200):
        patience.answered(number, number + 1.0, tries=2)
    assert patience.after(0) > 1.0, "where all are repeated they are late"


def served_late(delay_s: float, apart_s: float, seconds: float) -> int:
    """How many requests are repeated, of which each is answered ``delay_s`` after it was sent first."""
    asked = Asked()
    owed: deque[tuple[float, int]] = deque()
    known: set[int] = set()
    due = 0.0
    while asked.now < seconds:
        asked.now += TICK_S
        while due < asked.now:
            due += apart_s
            put(asked)
        for sequence in [one for batch in sequences(asked) for one in batch]:
            if sequence not in known:
                known.add(sequence)
                owed.append((asked.now + delay_s, sequence))
        while owed and owed[0][0] <= asked.now:
            asked.reply(to(owed.popleft()[1]), body=FALSE)
        if asked.now >= asked.protocol.timer:
            asked.protocol.handle_timer(asked.now)
    return asked.protocol.counters["retries"]


def test_who_answers_late_is_soon_asked_once_only() -> None:
    """Every 10 ms a request, each answered after 0.6 s. Those are repeated that begin before the first answer comes;
    with a patience that does not learn, all are."""
    assert served_late(0.6, 0.01, 3.0) < 130
    assert served_late(0.15, 0.01, 3.0) == 0


def test_who_answers_others_is_not_silent() -> None:
    asked = Asked(SERVICE, LEADER)
    for _ in range(2):
        put(asked)
    ((first, second),) = sequences(asked)
    asked.now = 0.1
    asked.reply(to(second), body=FALSE)
    asked.now = 0.25
    asked.protocol.handle_timer(asked.now)
    ((header, address),) = asked.sent()
    assert (header.index, address) == (first, SERVICE), "its datagram was lost; whom it asked is there"
    asked.now = 1.0
    asked.protocol.handle_timer(asked.now)
    assert {address for _, address in asked.sent()} == {SERVICE, LEADER}, "since then nobody has answered"


def test_reads_of_an_age_say_nothing_of_the_leader() -> None:
    asked = Asked(SERVICE, LEADER)
    put(asked)
    asked.sent()
    asked.begin(Operation.GET_STALE, key=KEY, age_ms=1000)
    ((read, _),) = asked.sent()
    asked.now = 0.1
    asked.reply(read, body=values.encode([False, None]))
    assert len(asked.protocol.take_finished()) == 2, "the one that opened the session, and the read"
    asked.now = 0.25
    asked.protocol.handle_timer(asked.now)
    assert {address for _, address in asked.sent()} == {SERVICE, LEADER}


def test_who_answers_nothing_is_silent_at_once() -> None:
    asked = Asked(SERVICE, LEADER)
    asked.now = 0.1
    put(asked)
    asked.sent()
    asked.now = 0.35
    asked.protocol.handle_timer(asked.now)
    assert {address for _, address in asked.sent()} == {SERVICE, LEADER}


@pytest.mark.parametrize("count", [2, 300])
def test_what_is_repeated_shares_datagrams(count: int) -> None:
    asked = Asked()
    for _ in range(count):
        put(asked)
    first = sequences(asked)
    asked.now = 0.25
    asked.protocol.handle_timer(asked.now)
    again = sequences(asked)
    assert again == first and len(again) < count
