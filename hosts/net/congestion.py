"""How much may be on its way to one address: NewReno, as RFC 9002 describes it in sections 7 and B for QUIC.

The queues of a software switch are short (BMv2's hold 64 packets), and nobody says how short: what is lost tells.
Sizes are bytes of datagrams, times seconds of any monotonic clock.
"""

from __future__ import annotations

import math

INITIAL_DATAGRAMS = 16
"""RFC 9002, section 7.2, says 10. Where members stand, in one rack, a few more are no burst."""

MIN_DATAGRAMS = 2
MAX_BYTES = 512 << 10
"""A receiver's socket has room for several of these, whatever its loop is at."""

GRANULARITY_S = 0.001
ANSWER_DELAY_S = 0.02
"""What a receiver's loop may take until it says what has come, beside the way: two ticks."""

FIRST_RTT_S = 0.03
MIN_PTO_S = 0.05
MAX_PTO_S = 0.8


class CongestionWindow:
    """``size`` bytes may be on their way. What is on its way its user counts."""

    __slots__ = ("_recovery_from", "_rtt_var", "_smoothed_rtt", "_threshold", "size")

    def __init__(self, datagram: int) -> None:
        self.size: float = INITIAL_DATAGRAMS * datagram
        self._threshold = math.inf
        """Above it the window grows by a datagram a round trip (congestion avoidance), below by what arrives."""
        self._recovery_from = -math.inf
        """Losses of what was sent before this moment are known already."""
        self._smoothed_rtt = 0.0
        self._rtt_var = 0.0

    def arrived(self, size: int, sent_at: float, datagram: int, *, limited: bool) -> None:
        """``size`` bytes have arrived. ``limited``: the window was what held others back; else it does not grow."""
        if sent_at <= self._recovery_from or not limited:
            return
        grown = self.size + (size if self.size < self._threshold else datagram * size / self.size)
        self.size = min(grown, max(MAX_BYTES, 2.0 * datagram))

    def lost(self, sent_at: float, now: float, datagram: int) -> None:
        """Something that was sent then is lost; the window is halved once for all that are lost together."""
        if sent_at > self._recovery_from:
            self._recovery_from = now
            self.size = self._threshold = max(self.size / 2, MIN_DATAGRAMS * datagram)

    def fell_silent(self, now: float, datagram: int) -> None:
        """Nothing has come back for several timeouts (persistent congestion)."""
        self._recovery_from = now
        self._threshold = max(self.size / 2, MIN_DATAGRAMS * datagram)
        self.size = MIN_DATAGRAMS * datagram

    def round_trip(self, took: float) -> None:
        """An answer took so long (RFC 9002, section 5.3)."""
        if not self._smoothed_rtt:
            self._smoothed_rtt, self._rtt_var = took, took / 2
        else:
            self._rtt_var += (abs(self._smoothed_rtt - took) - self._rtt_var) / 4
            self._smoothed_rtt += (took - self._smoothed_rtt) / 8

    def timeout(self, silences: int) -> float:
        """After so long without an answer something is sent again; longer with each time in vain."""
        if self._smoothed_rtt:
            period = self._smoothed_rtt + max(4 * self._rtt_var, GRANULARITY_S) + ANSWER_DELAY_S
        else:
            period = 2 * FIRST_RTT_S
        return min(max(period, MIN_PTO_S) * 2.0 ** min(silences, 6), MAX_PTO_S)
