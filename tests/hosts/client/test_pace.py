"""A client at a limit falls to about its rate and wastes little of it; one that only loses a little is not slower.

In simulated time, with the real protocol: ``tests/hosts/client/metered.py``."""

from __future__ import annotations

import math
from random import Random

import pytest

from hosts.client.calls import Timeout
from hosts.client.pace import FALL, HOLD_S, LEAST_LOST, LEAST_RATE, PLATEAU_S, Pace
from hosts.client.protocol import ClientProtocol
from hosts.service.requests import Operation, Request
from tests.hosts.client.metered import Metered


class WithoutPace(ClientProtocol):
    """What clients were before."""

    def _judge_pace(self, *_: object) -> None:
        pass


def falls(run: Metered) -> int:
    return run.protocol.counters["falls of the pace"]


def paced(run: Metered) -> int:
    return run.protocol.counters["requests paced"]


@pytest.mark.parametrize(
    ("width", "rate", "least", "most_wasted"),
    [
        (1, 20, 0.9, 0.12),
        (1, 100, 0.5, 0.08),
        (8, 20, 0.9, 0.15),
        (8, 100, 0.55, 0.12),
        (64, 20, 0.9, 0.2),
        (64, 100, 0.85, 0.15),
        (64, 300, 0.6, 0.12),
    ],
)
def test_at_a_limit_it_uses_most_of_it_and_wastes_little(
    width: int, rate: int, least: float, most_wasted: float
) -> None:
    run = Metered(width, rate=rate)
    run.run(4)
    seen = run.run(10)
    assert least * rate <= (seen["sent"] - seen["over"]) / 10 <= 1.05 * rate
    assert seen["over"] <= most_wasted * seen["sent"]
    assert falls(run) > 0 and paced(run) > 0
    assert not seen["failed"]


def test_without_a_pace_much_of_a_limit_goes_to_repeats() -> None:
    """What the bars above are worth: they tell a client with a pace from one without."""
    run = Metered(64, rate=100, protocol=WithoutPace)
    run.run(4)
    seen = run.run(4)
    assert seen["over"] > 0.2 * seen["sent"]


@pytest.mark.parametrize(("width", "seconds"), [(1, 30), (8, 8), (64, 2)])
def test_a_loss_of_one_in_a_hundred_costs_no_speed(width: int, seconds: int) -> None:
    with_pace, without = 0, 0
    for seed in (1, 2, 3):
        with_pace += Metered(width, loss=0.005, seed=seed).run(seconds)["answered"]
        without += Metered(width, loss=0.005, seed=seed, protocol=WithoutPace).run(seconds)["answered"]
    assert with_pace >= 0.95 * without


@pytest.mark.parametrize("loss", [0.025, 0.1])
def test_many_losses_that_the_rate_has_nothing_to_do_with_cost_half_at_most(loss: float) -> None:
    with_pace = Metered(8, loss=loss).run(30)["answered"]
    assert with_pace >= 0.5 * Metered(8, loss=loss, protocol=WithoutPace).run(30)["answered"]


def test_without_a_loss_nothing_is_paced() -> None:
    run, before = Metered(16), Metered(16, protocol=WithoutPace)
    assert run.run(2) == before.run(2)
    assert falls(run) == paced(run) == 0


def test_it_rises_again_when_the_limit_has_gone() -> None:
    run = Metered(8, rate=20)
    free = Metered(8).run(1)["answered"]
    limited = run.run(8)["answered"]
    assert limited / 8 < free / 5
    run.meter.rate = None
    run.run(8)
    assert run.run(1)["answered"] > 0.9 * free
    before = paced(run)
    run.run(0.5)
    assert paced(run) == before, "no request waits any more"


def test_it_rises_when_the_limit_is_raised() -> None:
    run = Metered(64, rate=20)
    run.run(8)
    run.meter.rate, run.meter.burst = 100, 10
    run.run(6)
    seen = run.run(10)
    assert (seen["sent"] - seen["over"]) / 10 > 80


def test_a_server_that_was_away_for_a_moment_leaves_no_pace_behind() -> None:
    run, free = Metered(8), Metered(8).run(1)["answered"]
    run.run(1)
    run.down = True
    run.run(0.6)
    run.down = False
    run.run(4)
    assert run.run(1)["answered"] > 0.9 * free


def test_a_deadline_holds_for_what_waits_for_its_turn() -> None:
    run = Metered(64, rate=20, timeout_s=1.0)
    run.run(6)
    protocol = run.protocol
    assert protocol._pace.on and protocol._paced
    run.down = True
    asked = [protocol.submit(Request(protocol.nonce, Operation.GET, key=b"k"), run.now, 0.02) for _ in range(3)]
    run.run(0.1)
    for call in asked:
        assert isinstance(call.failure, Timeout)
        assert call not in protocol._paced or protocol._calls.get((call.session, call.sequence)) is not call


def test_a_large_value_is_not_paced() -> None:
    run = Metered(8, rate=20)
    run.run(6)
    assert run.protocol._pace.on
    before = paced(run)
    large = Request(run.protocol.nonce, Operation.PUT, key=b"k", value=bytes(20_000))
    run.protocol.submit(large, run.now)
    assert paced(run) == before
    assert any(len(datagram) > 1000 for datagram, _ in run.protocol.datagrams_to_send())


def test_requests_that_wait_share_datagrams_of_one_session() -> None:
    run = Metered(64, rate=20)
    run.run(4)
    seen = run.run(10)
    assert seen["answered"] > 3 * (seen["sent"] - seen["over"])


def test_what_comes_after_a_lost_request_waits_and_is_not_refused() -> None:
    """Answers to 1,024 requests may come before one is repeated; the session has no room then for any more."""
    run = Metered(64, loss=0.005)
    seen = run.run(3)
    assert not seen["refused"] and seen["answered"] > 10_000


# -- the pace alone -------------------------------------------------------------------------------------------------


def fallen(came: int = 100, lost: int = 50) -> tuple[Pace, float]:
    """A pace that has fallen to ``came`` a second, and when."""
    pace = Pace()
    pace.judge(10.0, 0, 0, 0, 0)
    pace.judge(11.0, came, 0, lost, lost)
    assert pace.on
    return pace, 11.0


def test_the_rate_is_cubic_and_relative() -> None:
    pace, at = fallen()
    assert pace.rate(at) == pytest.approx(100 * (1 - FALL))
    assert pace.rate(at + PLATEAU_S / 2) == pytest.approx(100 * (1 - FALL / 8))
    assert pace.rate(at + PLATEAU_S) == pytest.approx(100)
    assert pace.rate(at + 2 * PLATEAU_S) == pytest.approx(100 * (1 + FALL))
    assert pace.rate(at + 4 * PLATEAU_S) == pytest.approx(100 * (1 + 27 * FALL))


def test_datagrams_leave_at_the_rate() -> None:
    pace, at = fallen()
    now, left = at, 0
    while now < at + PLATEAU_S:
        if pace.next_at <= now:
            pace.sent(1, now)
            left += 1
        now += 0.0005
    assert left == pytest.approx(100 * (1 - FALL / 4), abs=8)


def test_no_pace_lets_everything_leave_at_once() -> None:
    pace = Pace()
    for _ in range(1000):
        assert pace.next_at <= 10.0
        pace.sent(1, 10.0)
    assert pace.rate(10.0) == math.inf


def test_few_losses_and_few_requests_say_nothing() -> None:
    pace = Pace()
    pace.judge(10.0, 0, 0, 0, 0)
    pace.judge(13.0, 100, 0, 30, LEAST_LOST - 1)  # many requests, few datagrams
    pace.judge(16.0, 200, 0, 5, 5)
    pace.judge(19.0, 204, 0, 4, 4)
    pace.judge(22.0, 304, 100, 100, 100)  # nobody has answered
    assert not pace.on and pace.falls == 0


def test_what_was_sent_before_it_fell_makes_it_fall_no_further() -> None:
    pace, at = fallen()
    pace.judge(at + HOLD_S * 0.8, 130, 0, 60, 60)
    pace.judge(at + HOLD_S * 1.4, 150, 0, 0, 0)
    pace.judge(at + HOLD_S * 2.5, 170, 0, 0, 0)
    assert pace.falls == 1


def test_losses_that_stay_at_a_lower_rate_are_not_its_own() -> None:
    pace, now = Pace(), 10.0
    random, started = Random(1), 0
    for _ in range(200):
        pace.judge(now, started, 0, *(2 * [sum(random.random() < 0.3 for _ in range(50))]))
        started += 50
        pace.sent(50, now)
        now += 0.5
    assert 0 < pace.falls < 50


def test_a_session_that_begins_anew_is_no_reason() -> None:
    pace = Pace()
    pace.judge(10.0, 1000, 5, 0, 0)
    pace.judge(11.0, 3, 3, 50, 50)
    assert not pace.on


def test_the_rate_never_falls_to_nothing() -> None:
    pace, now = fallen(came=1, lost=60)
    assert pace.rate(now) >= LEAST_RATE
