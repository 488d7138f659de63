"""The recorder of labs, which outlives them: one that is started anew carries on the recording if it is the same
network, and begins another one if not."""

from __future__ import annotations

import asyncio

from topo.errors import LabError
from topo.lab.running_lab import Live
from topo.live.timeline import Timeline
from topo.live.watching import Pace, Watched


class Recorder(Timeline):
    """Records the lab of this checkout, whichever runs. ``run`` never returns; cancel it."""

    def __init__(self, pace: Pace | None = None) -> None:
        super().__init__()
        self._pace = pace or Pace()

    async def run(self) -> None:
        """Record, for ever."""
        waiting = False
        while True:
            try:
                live = Live.find()
                if live.record.state != "serving":
                    raise LabError("the lab is starting")
                watched = Watched(self, live, self._pace)
            except LabError:
                if not waiting and self.window is not None:
                    self.tell([{"k": "note", "who": "lab", "text": "no lab runs; waiting for the next one"}])
                waiting = True
                self.flush()
                await asyncio.sleep(self._pace.lab)
                continue
            waiting = False
            try:
                await watched.run()
            finally:
                self.topology = self.opener = None
                await watched.close()
