"""Which addresses surely receive what is sent to them (RFC 9000, section 8, "Address Validation").

Whoever writes another one's address as the source of a request has the answer sent there. So an address gets no more
than AMPLIFICATION times the bytes that have come from it, until it has echoed a number that was sent to it and that
nobody else can guess: a message id. Then it is valid for a while, and gets whatever it asks for.
"""

from __future__ import annotations

from collections import OrderedDict

from hosts.config import Address

AMPLIFICATION = 3
VALID_S = 600.0
"""For how long an address is valid after an echo."""

MAX_VALID = 16_384
"""Valid addresses that are remembered; beyond it the one that was validated first has to echo another number."""

MAX_CREDITS = 16_384
"""Other addresses that are remembered; the one that was heard last loses what it has not used up first."""


class Validation:
    """What is known of addresses. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._valid: OrderedDict[Address, float] = OrderedDict()
        """Until when, in that order."""
        self._credits: OrderedDict[Address, int] = OrderedDict()
        """Bytes that may be sent to others."""

    def __len__(self) -> int:
        return len(self._valid) + len(self._credits)

    def heard(self, address: Address, size: int, now: float) -> None:
        """A datagram of ``size`` bytes has come from ``address``, if it says the truth."""
        if self.is_valid(address, now):
            return
        self._credits[address] = self._credits.pop(address, 0) + AMPLIFICATION * size
        if len(self._credits) > MAX_CREDITS:
            self._credits.popitem(last=False)

    def credit(self, address: Address, now: float) -> int | None:
        """How many bytes may be sent to ``address``; None for as many as one likes."""
        return None if self.is_valid(address, now) else self._credits.get(address, 0)

    def spend(self, address: Address, size: int, now: float) -> bool:
        """Whether ``size`` bytes may be sent to ``address``; if so, they are."""
        credit = self.credit(address, now)
        if credit is None:
            return True
        if size > credit:
            return False
        self._credits[address] = credit - size
        return True

    def echoed(self, address: Address, now: float) -> None:
        """What was sent to ``address``, and cannot be guessed, has come back from it."""
        self._credits.pop(address, None)
        self._valid[address] = now + VALID_S
        self._valid.move_to_end(address)
        if len(self._valid) > MAX_VALID:
            self._valid.popitem(last=False)

    def doubt(self, address: Address) -> None:
        """What was sent to ``address`` has been in vain."""
        self._valid.pop(address, None)

    def is_valid(self, address: Address, now: float) -> bool:
        """Whether an echo has come from ``address`` not long ago."""
        until = self._valid.get(address)
        if until is None:
            return False
        if now < until:
            return True
        del self._valid[address]
        return False
