"""NewReno, as RFC 9002 has it."""

from __future__ import annotations

from hosts.net.congestion import INITIAL_DATAGRAMS, MAX_BYTES, MAX_PTO_S, MIN_PTO_S, CongestionWindow

SIZE = 1400


def grown(window: CongestionWindow, datagrams: int, sent_at: float = 1.0) -> float:
    for _ in range(datagrams):
        window.arrived(SIZE, sent_at, SIZE, limited=True)
    return window.size


def test_it_doubles_each_round_trip_at_first() -> None:
    window = CongestionWindow(SIZE)
    assert window.size == INITIAL_DATAGRAMS * SIZE
    assert grown(window, INITIAL_DATAGRAMS) == 2 * INITIAL_DATAGRAMS * SIZE


def test_it_grows_only_where_it_was_the_limit_and_not_for_ever() -> None:
    window = CongestionWindow(SIZE)
    window.arrived(SIZE, 1.0, SIZE, limited=False)
    assert window.size == INITIAL_DATAGRAMS * SIZE
    assert grown(window, 10_000) == MAX_BYTES


def test_it_is_halved_once_for_what_is_lost_together() -> None:
    window = CongestionWindow(SIZE)
    before = grown(window, 100)
    window.lost(1.0, 2.0, SIZE)
    window.lost(1.5, 2.1, SIZE)
    assert window.size == before / 2
    window.lost(2.05, 2.2, SIZE)
    assert window.size == before / 4, "what was sent after that is another loss"


def test_after_a_loss_it_grows_by_a_datagram_a_round_trip() -> None:
    window = CongestionWindow(SIZE)
    grown(window, 84)
    window.lost(1.0, 2.0, SIZE)
    before = window.size
    assert grown(window, 1, sent_at=1.9) == before, "what was sent before the loss says nothing of the time after it"
    after = grown(window, round(before / SIZE), sent_at=3.0)
    assert 0.9 * SIZE < after - before < 1.1 * SIZE


def test_it_never_falls_below_two_datagrams() -> None:
    window = CongestionWindow(SIZE)
    for turn in range(50):
        window.lost(turn, turn + 0.5, SIZE)
    assert window.size == 2 * SIZE
    window.fell_silent(100.0, SIZE)
    assert window.size == 2 * SIZE


def test_after_silence_it_begins_anew_and_doubles_to_half_of_what_it_was() -> None:
    window = CongestionWindow(SIZE)
    before = grown(window, 84)
    window.fell_silent(2.0, SIZE)
    assert window.size == 2 * SIZE
    sizes = [grown(window, round(window.size / SIZE), sent_at=3.0) for _ in range(8)]
    assert sizes[0] == 4 * SIZE and sizes[1] == 8 * SIZE
    assert before / 2 < sizes[-1] < before / 2 + 8 * SIZE


def test_timeouts_follow_round_trips_and_double() -> None:
    window = CongestionWindow(SIZE)
    assert window.timeout(0) >= MIN_PTO_S
    for _ in range(50):
        window.round_trip(0.2)
    assert 0.2 < window.timeout(0) < 0.3
    assert window.timeout(1) == 2 * window.timeout(0) and window.timeout(9) == MAX_PTO_S
    for _ in range(50):
        window.round_trip(0.001)
    assert window.timeout(0) == MIN_PTO_S
