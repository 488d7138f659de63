"""The open loop: its schedule and its figures, against a made-up server and clock, and against real members."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable

import pytest
from hdrh.histogram import HdrHistogram

from bench.consensus.loopback import Loopback
from bench.open import load
from bench.open.load import drive
from bench.open.report import recovery_s
from bench.open.samples import measured, packed, plain, unpacked
from bench.open.schedule import BATCH, NO_ANSWER, NOT_BEGUN, OpenLoop, Stretch
from bench.open.sessions import Done, Sessions
from hosts.service.requests import Operation

TICK_S = 0.0005


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Server(Sessions):
    """Answers each request when ``answers_at`` says, given when it was begun; None: never."""

    def __init__(self, clock: Clock, most: int, answers_at: Callable[[float], float | None]) -> None:
        self._clock, self._most, self._answers_at = clock, most, answers_at
        self._waiting: dict[int, float | None] = {}
        self.most_waiting = 0

    def room(self) -> int:
        return self._most - len(self._waiting)

    def begin(self, number: int, now: float) -> None:
        self._waiting[number] = self._answers_at(now)
        self.most_waiting = max(self.most_waiting, len(self._waiting))

    def turn(self, until: float, clock: Callable[[], float]) -> list[Done]:
        self._clock.now += TICK_S
        due = [number for number, at in self._waiting.items() if at is not None and at <= self._clock.now]
        return [Done(number, self._waiting.pop(number)) for number in due]


def run(
    *stretches: Stretch, answers_at: Callable[[float], float | None] = lambda now: now + 0.001, most: int = 100_000
) -> tuple[OpenLoop, Server]:
    clock = Clock()
    server, loop = Server(clock, most, answers_at), OpenLoop(stretches, clock.now)
    assert len(drive(loop, server, server.begin, clock)) == len(stretches)
    return loop, server


def decoded(text: str) -> HdrHistogram:
    return HdrHistogram.decode(text)


# -- the schedule ---------------------------------------------------------------------------------------------------


def test_requests_are_due_at_a_constant_rate_from_the_start_of_their_stretch() -> None:
    loop = OpenLoop([Stretch(10, 0.5), Stretch(4, 1)], 7.0)
    assert loop.begin(6.9, 100) == []
    assert loop.begin(7.0, 100) == [0] and loop.next_due == pytest.approx(7.1)
    assert loop.begin(100.0, 100) == list(range(1, 9)) and loop.next_due == math.inf
    assert list(loop.due) == pytest.approx([7.0, 7.1, 7.2, 7.3, 7.4, 7.5, 7.75, 8.0, 8.25])
    assert list(loop.numbers(1)) == [5, 6, 7, 8] and loop.span(1) == (7.5, 8.5) and loop.end == 8.5


def test_a_turn_begins_a_batch_at_most_so_that_lag_is_what_it_was() -> None:
    loop = OpenLoop([Stretch(1000, 1)], 0.0)
    assert len(loop.begin(1.0, 10_000)) == BATCH
    assert len(loop.begin(2.0, 10_000)) == BATCH
    assert loop.lag[0] == pytest.approx(1.0) and loop.lag[BATCH] == pytest.approx(2.0 - BATCH / 1000)


def test_a_stall_of_the_server_shows_in_the_latency_of_all_that_was_due_in_it() -> None:
    """Who waits for answers before it asks again would see one slow request, and a p99 of a millisecond."""

    def answers_at(now: float) -> float:
        return 102.0 if 101.0 <= now < 102.0 else now + 0.001

    loop, server = run(Stretch(1000, 5), answers_at=answers_at)
    found = measured(loop, 0, 0.0)
    assert found.due == 5000 and found.errors == found.not_begun == 0
    assert found.p50_ms < 3
    assert 900 < found.p99_ms <= found.max_ms < 1010
    assert server.most_waiting >= 1000
    slow = [window.begin_s for window in found.windows if window.p99_ms > 50]
    assert slow == pytest.approx([1 + tenth / 10 for tenth in range(10)])
    assert found.lag_p99_ms < 1, "it was not the client"


def test_latency_counts_from_when_a_request_was_due_though_the_client_was_late() -> None:
    loop = OpenLoop([Stretch(1000, 1)], 0.0)
    now = 0.5
    while not loop.done:
        for number in loop.begin(now, 1000):
            loop.answered(number, now + 0.001)
        now += TICK_S
    found = measured(loop, 0, 0.5)
    assert found.max_ms == pytest.approx(501, rel=0.01)
    assert found.lag_p99_ms == pytest.approx(490, rel=0.05) and found.client_share == 0.5
    assert decoded(found.lags).get_max_value() == pytest.approx(500_000, rel=0.01)


def test_what_finds_no_room_is_counted_as_not_begun_and_makes_quantiles_no_better() -> None:
    loop, server = run(Stretch(1000, 1), answers_at=lambda now: now + 0.1, most=50)
    found = measured(loop, 0, 0.0)
    assert server.most_waiting == 50
    assert found.not_begun == loop.took.count(NOT_BEGUN) > 400 and found.errors == 0
    assert decoded(found.histogram).get_total_count() == found.due - found.not_begun
    assert found.p99_ms == math.inf and found.max_ms == pytest.approx(100, rel=0.02)
    assert all(window.p99_ms == math.inf for window in found.windows)


def test_what_is_never_answered_is_an_error_and_the_loop_ends() -> None:
    loop, _ = run(Stretch(100, 1), answers_at=lambda now: None if now < 100.5 else now)
    found = measured(loop, 0, 0.0)
    assert found.errors == 50 and found.not_begun == 0
    assert found.p99_ms == math.inf and loop.took.count(NO_ANSWER) == 50
    failed = OpenLoop([Stretch(1, 1)], 0.0)
    failed.failed(failed.begin(0.0, 1)[0])
    assert failed.done and measured(failed, 0, 0.0).errors == 1


def test_what_was_not_begun_when_the_loop_is_closed_is_counted() -> None:
    loop = OpenLoop([Stretch(100, 1), Stretch(10, 1)], 0.0)
    loop.begin(0.5, 100)
    loop.close(0.6)
    assert [measured(loop, number, 0.0).not_begun for number in (0, 1)] == [49, 10]
    assert measured(loop, 0, 0.0).errors == 51


def test_achieved_is_what_was_answered_while_the_stretch_lasted() -> None:
    loop, _ = run(Stretch(100, 1), Stretch(100, 1), answers_at=lambda now: now + 0.5)
    assert measured(loop, 0, 0.0).achieved_per_s == pytest.approx(50, abs=1)
    assert measured(loop, 1, 0.0).achieved_per_s == pytest.approx(100, abs=1)


def test_a_cluster_with_a_backlog_recovers_once_it_is_worked_off() -> None:
    """It serves 1000/s; 1500/s for 2 s leave 1000 behind, of which it works off 500 a second after that."""
    free = 0.0

    def answers_at(now: float) -> float:
        nonlocal free
        free = max(free, now) + 0.001
        return free

    loop, _ = run(Stretch(1500, 2), Stretch(500, 4), answers_at=answers_at)
    after = measured(loop, 1, 0.0)
    assert recovery_s(after.windows, 2 * 1.5) == pytest.approx(2.1, abs=0.1)


def test_a_stretch_is_the_same_on_the_other_side_of_a_pipe() -> None:
    loop, _ = run(Stretch(100, 0.2))
    one = measured(loop, 0, 0.1)
    assert unpacked(json.loads(json.dumps(packed(one)))) == one
    lost, _ = run(Stretch(100, 0.2), answers_at=lambda now: None)
    assert unpacked(json.loads(json.dumps(packed(measured(lost, 0, 0.0))))).p99_ms == math.inf


def test_plain_data_has_null_in_place_of_infinity() -> None:
    assert plain({"a": [math.inf, 1.0, "x"], "b": (math.nan, 2)}) == {"a": [None, 1.0, "x"], "b": [None, 2]}


@pytest.mark.parametrize("text", ["10", "0:1", "1:0", "a:1", "nan:1", "1:2:3"])
def test_impossible_stretches_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="RATE:SECONDS"):
        load.stretch(text)


# -- real members ---------------------------------------------------------------------------------------------------


def test_every_request_to_real_members_is_accounted_for() -> None:
    with Loopback() as cluster:
        cluster.start()
        cluster.leader()
        for operation in (Operation.PUT, Operation.GET):
            told = load.run(cluster.addresses, None, operation, 64, [Stretch(200, 0.2), Stretch(400, 0.5)], 4)
            found = [unpacked(one) for one in told["stretches"]]  # type: ignore[attr-defined]
            assert [one.due for one in found] == [40, 200]
            for one in found:
                answered = decoded(one.histogram).get_total_count()
                assert answered + one.errors + one.not_begun == one.due and answered
