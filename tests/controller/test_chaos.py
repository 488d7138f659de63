"""Whatever goes wrong, and in whatever order: once it stops, switches hold what they should."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

import pytest

from controller.controller import Controller
from controller.desired import TABLES
from tests.controller.stub_switch import StubSwitch
from tests.controller.triangle import Lab, until


class Chaos:
    """Faults drawn from a seed."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.random = random.Random(seed)
        self.term = 1
        self.leader = 0
        self.away: set[StubSwitch] = set()
        self.stack = contextlib.AsyncExitStack()
        self.controller: Controller | None = None

    async def step(self) -> None:
        """One fault, or the end of one."""
        switch = self.random.choice(self.lab.switches)
        fault = self.random.choice((self.restart_controller, self.toggle, self.elect, self.wipe, self.pause))
        if self.random.random() < 0.4:
            end = (switch.name, self.random.choice(self.lab.network.trunks(switch.name)))
            self.lab.fabric.cut ^= {end}
        if self.random.random() < 0.3:
            switch.failures[self.random.choice(TABLES)] = self.random.randint(1, 3)
        await fault(switch)
        await asyncio.sleep(self.random.choice((0.0, 0.01, 0.1, 0.4)))

    async def restart_controller(self, _: StubSwitch) -> None:
        await self.stack.aclose()
        self.controller = await self.stack.enter_async_context(self.lab.controller())

    async def toggle(self, switch: StubSwitch) -> None:
        if switch in self.away:
            self.away.discard(switch)
            await switch.start()
        else:
            self.away.add(switch)
            await switch.stop()

    async def elect(self, switch: StubSwitch) -> None:
        self.term += self.random.randint(1, 3)
        self.hear(self.random.choice((1, 2, 3)))
        switch.digest(1, 0, self.leader, self.term)

    async def wipe(self, switch: StubSwitch) -> None:
        self.term = 1
        self.hear(self.random.choice((1, 2, 3)))
        switch.digest(1, 0, self.leader, self.term)

    async def pause(self, switch: StubSwitch) -> None:
        switch.answering.clear() if switch.answering.is_set() else switch.answering.set()

    def hear(self, leader: int) -> None:
        self.leader = leader
        self.lab.all_hear(leader, self.term)

    async def quiet(self) -> None:
        """All faults end; switches tell what they hear, as long as it is not what they hold."""
        for switch in self.lab.switches:
            if switch in self.away:
                await switch.start()
            switch.answering.set()
            switch.failures.clear()
        self.lab.fabric.cut.clear()
        if self.leader == 0:
            self.hear(1)
        if self.controller is None:
            self.controller = await self.stack.enter_async_context(self.lab.controller())

    def converged(self) -> bool:
        assert self.controller is not None
        for switch in self.lab.switches:
            if switch.leader() != (self.leader, self.term):
                switch.digest(1, 0, self.leader, self.term)
        return (
            self.lab.led_by(self.leader, self.term)
            and self.controller.decisions.view.links == set(self.lab.network.links)
            and self.lab.holds_what_is_desired(self.controller)
        )


@pytest.mark.parametrize("seed", range(3))
async def test_it_converges_when_faults_stop(lab: Lab, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chaos = Chaos(lab, seed)
    try:
        for _ in range(25):
            await chaos.step()
        await chaos.quiet()
        await until(chaos.converged, timeout=60)
    finally:
        await chaos.stack.aclose()
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
