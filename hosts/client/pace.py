"""How fast a client may send once its requests get lost in number, as at a limit in the network. Sans-IO.

Until then there is no pace at all. What is paced are datagrams, for a limit counts those: requests that wait for
their turn share them. The rate falls to what has come through, and rises again by a cubic function of the time (as
CUBIC's window does, RFC 9438), here relative to the rate itself: slowly up to where it was, then ever faster, until
nothing waits any more and there is no pace again. A window would not do: one request in a round trip of 3 ms, which
is the least there is, are 330/s.

Few losses are everyday's, and no reason to be slower. Nor are many that stay as many at a much lower rate.
"""

from __future__ import annotations

import math

EPOCH_S = 0.25
"""It is judged what has come through once in so long, or longer: until enough was sent."""
LONGEST_EPOCH_S = 2.0
LEAST_SENT = 10
LEAST_LOST = 4
"""Fewer datagrams say nothing."""
TOLERATED = 0.07
"""The share of requests that may be lost at any rate."""
MOST_TOLERATED = 0.6
HOLD_S = 0.25
"""What is noticed so soon after the rate has fallen was sent before."""
FALL = 0.3
"""The rate begins so much below what has come through."""
PLATEAU_S = 1.0
"""After so long it is there."""
LEAST_RATE = 1.0
VAIN = 3
"""After so many falls in a row from below what had come through, losses do not come from the rate."""
BURST_S = 0.05
"""For so long the rate may be saved up: answers come in bursts, and timers are late."""


class Pace:
    """One client's. Times are seconds of any monotonic clock; counts are of small requests since the client began."""

    def __init__(self) -> None:
        self.on = False
        """Whether there is a pace."""
        self.falls = 0
        """How often the rate has fallen."""
        self._tolerated = TOLERATED
        self._peak = math.inf
        """What came through when the rate fell last."""
        self._fell_at = -math.inf
        self._next_at = -math.inf
        """When the next datagram may leave."""
        self._vain = 0
        self._begin(0.0, 0, 0)
        self._former_rate = 0.0

    def _begin(self, now: float, started: int, open_: int) -> None:
        self._since = now
        self._started = started
        self._open = open_
        self._lost = self._events = self._datagrams = 0

    # -- sending ------------------------------------------------------------------------------------------------

    @property
    def next_at(self) -> float:
        """When the next datagram may leave."""
        return self._next_at

    def rate(self, now: float) -> float:
        """Datagrams per second that may leave now."""
        if not self.on:
            return math.inf
        apart = 1.0 - (now - self._fell_at) / PLATEAU_S
        return max(LEAST_RATE, self._peak * (1.0 - FALL * apart**3))

    def sent(self, datagrams: int, now: float) -> None:
        """So many datagrams leave."""
        self._datagrams += datagrams
        rate = self.rate(now)
        self._next_at = max(self._next_at, now - max(BURST_S, 1.0 / rate)) + datagrams / rate

    # -- judging ------------------------------------------------------------------------------------------------

    def judge(self, now: float, started: int, open_: int, lost: int, events: int) -> None:
        """Time has passed. ``started`` requests have begun so far, ``open_`` of them wait for an answer, and ``lost``
        have got none since this was called last, and are repeated; they left in ``events`` datagrams, about."""
        if started < self._started:
            self._begin(now, started, open_)
            return
        if now < self._fell_at + HOLD_S:
            self._begin(now, started, open_)
            return
        self._lost += lost
        self._events += events
        age = now - self._since
        sent = started - self._started + self._lost
        answered = started - self._started + self._open - open_
        says_something = sent >= LEAST_SENT and answered >= 1 and not 0 < self._events < LEAST_LOST
        if age < EPOCH_S or (age < LONGEST_EPOCH_S and not says_something):
            return
        if sent >= LEAST_SENT and answered >= 1:
            self._conclude(now, age, sent, answered)
        self._begin(now, started, open_)

    def _conclude(self, now: float, age: float, sent: int, answered: int) -> None:
        share = min(1.0, self._lost / sent)
        came = answered / age
        if self.on:
            came = min(self.rate(now), self._datagrams / age) * (1.0 - share)
        best, self._former_rate = max(came, self._former_rate), came
        if self._events >= LEAST_LOST and share > self._tolerated:
            self._fall(now, best, share)
            return
        self._tolerated = max(TOLERATED, self._tolerated * (1.0 if share > self._tolerated / 2 else 0.9))
        if self.on and now - self._fell_at > 2 * PLATEAU_S and self._datagrams / age < self.rate(now) / 2:
            self.on = False

    def _fall(self, now: float, came: float, share: float) -> None:
        is_below = self.on and self._since < self._fell_at + PLATEAU_S
        self._vain = self._vain + 1 if is_below else 0
        if self._vain >= VAIN:
            self._tolerated = min(MOST_TOLERATED, 1.5 * share)
            self._vain, self.on = 0, False
            return
        self.on = True
        self.falls += 1
        self._peak = max(LEAST_RATE, came)
        self._fell_at = now
        self._next_at = max(self._next_at, now)
