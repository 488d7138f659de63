"""Several requests or replies in one datagram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.net.batches import MORE, REJECT, Answers, pack_batches, unpack_batch
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.message import MessageType
from hosts.service.requests import Outcome, Reply
from hosts.wire import HEADER_BYTES, MAX_DATAGRAM, Header, WireError
from tests.hosts.memory_socket import MemorySocket

PLACE = ("10.0.1.11", 4711)


def unpack(index: int, flags: int, payload: bytes) -> list[tuple[int, bytes]]:
    return list(unpack_batch(payload)) if flags & MORE else [(index, payload)]


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(min_size=1, max_size=3000))))
def test_what_goes_in_comes_out_in_its_order_and_fits_datagrams(items: list[tuple[int, bytes]]) -> None:
    packed = list(pack_batches(items))
    assert [pair for one in packed for pair in unpack(*one)] == items
    for index, flags, payload in packed:
        parts = unpack(index, flags, payload)
        assert parts[0][0] == index
        assert HEADER_BYTES + len(payload) <= MAX_DATAGRAM or len(parts) == 1
        assert bool(flags & MORE) == (len(parts) > 1)


def test_few_datagrams_for_small_ones() -> None:
    assert len(list(pack_batches((number, bytes(80)) for number in range(30)))) == 2


@pytest.mark.parametrize("payload", [b"\0" * 9, b"\0" * 8 + b"\0\5abcd"])
def test_what_is_cut_short_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        list(unpack_batch(payload))


def test_answers_that_say_no_go_together_too_and_apart_from_others() -> None:
    answers = Answers(2, 7)
    outcomes = (Outcome.OK, Outcome.NOT_LEADER, Outcome.BUSY, Outcome.OK, Outcome.NOT_LEADER)
    for sequence, outcome in enumerate(outcomes):
        asked = Header(MessageType.CLIENT_REQUEST, index=sequence, log_term=5, flags=MORE)
        assert answers.add(asked, Reply(9, outcome), PLACE)
    taken = {header.flags: payload for header, payload, _ in answers.take()}
    sequences = {flags: [sequence for sequence, _ in unpack_batch(payload)] for flags, payload in taken.items()}
    assert sequences == {MORE: [0, 3], MORE | REJECT: [1, 2, 4]}


def test_answers_of_a_session_go_together_and_only_to_who_sends_batches() -> None:
    answers = Answers(2, 7)
    asked = [Header(MessageType.CLIENT_REQUEST, index=one, log_term=5, flags=MORE) for one in (1, 2, 3)]
    for header in asked[:2]:
        assert answers.add(header, Reply(9, Outcome.OK, index=header.index), PLACE)
    assert not answers.add(Header(MessageType.CLIENT_REQUEST, index=4, log_term=5), Reply(9, Outcome.OK), PLACE)
    ((header, payload, place),) = answers.take()
    assert (header.type, header.source, header.group, header.index, header.log_term, header.flags, place) == (
        MessageType.CLIENT_REPLY,
        2,
        7,
        1,
        5,
        MORE,
        PLACE,
    )
    assert [(sequence, Reply.unpack(part).index) for sequence, part in unpack_batch(payload)] == [(1, 1), (2, 2)]
    assert not list(answers.take())


def test_the_requests_of_a_batch_have_what_its_header_says() -> None:
    heard: list[Header] = []

    header = Header(MessageType.CLIENT_REQUEST, 0, 0, 1, 1, 5, log_term=9, commit=4, flags=MORE)
    one_datagram = MemorySocket()
    one_datagram.waiting.append((header.pack() + next(pack_batches([(5, b"five"), (6, b"six")]))[2], PLACE))
    handlers = Handlers(
        lambda *_: None, lambda header, *_: heard.append(header), lambda *_: False, lambda *_: None, lambda *_: None
    )
    surroundings = Surroundings(open_socket=lambda *_: one_datagram)
    Transport(1, ("10.0.0.1", 26410), 7, {1: {}}, 1 << 20, handlers, surroundings).drain()
    assert [(one.index, one.term, one.log_term, one.commit, one.group) for one in heard] == [
        (sequence, 1, 9, 4, 1) for sequence in (5, 6)
    ]
