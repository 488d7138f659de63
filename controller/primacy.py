"""A controller's place among several at one switch: the highest election id is the primary, the others stand by.

P4Runtime 1.4, section 5. When a primary goes, BMv2 makes the next one primary and tells it OK; by the specification
all are told NOT_FOUND, there is no primary, and one may claim the place with the highest election id seen so far.
"""

from __future__ import annotations

import asyncio

from finsy.proto import U128, p4r, rpc_code

from controller.client import P4RuntimeClient

CLAIM_S = 0.02
"""How much longer a stand-by waits for a vacant place, per step that its election id is lower: so that of several
controllers one takes all switches."""
_MAX_STEPS = 25


class Primacy:
    """One session's. ``held`` is set while it is the primary."""

    def __init__(self, election_id: int) -> None:
        self.election_id = election_id
        self.held = asyncio.Event()
        self.highest = 0
        """Election id of the primary, or of the last one."""
        self._bid = election_id
        self._asked = election_id
        self._vacant = asyncio.Event()

    async def ask(self, client: P4RuntimeClient) -> None:
        """Bid for the place, on a new connection."""
        self.held.clear()
        self._vacant.clear()
        self._asked = self._bid
        await client.arbitrate(self._asked)

    def told(self, update: p4r.MasterArbitrationUpdate) -> None:
        """The switch has said who is the primary."""
        self.highest = U128.decode(update.election_id)
        self._vacant.clear()
        if update.status.code == rpc_code.OK and self.highest == self._asked:
            self.held.set()
            return
        self.held.clear()
        if update.status.code == rpc_code.NOT_FOUND:
            self._vacant.set()

    async def claim_when_vacant(self, client: P4RuntimeClient) -> None:
        """Take the place when the switch has no primary; never returns."""
        while True:
            await self._vacant.wait()
            await asyncio.sleep(CLAIM_S * max(0, min(self.highest - self._bid, _MAX_STEPS)))
            if self._vacant.is_set():
                self._vacant.clear()
                self._asked = max(self.highest, self._bid)
                await client.arbitrate(self._asked)

    def refused(self) -> int | None:
        """The switch has ended the connection because the election id is in use. If that was the own one, bid one
        less from now on, as finsy does, and return the id in use. None if it was a claim: another was faster."""
        if self._asked != self._bid:
            return None
        self._bid -= 1
        return self._asked

    def restart(self) -> None:
        """The connection was lost: bid the own id again."""
        self._bid = self.election_id
