"""The controller: a session to each switch, the clock, and ``Decisions``, which says what is to be done.

Nothing is decided here: what sessions tell goes to ``Decisions``, and its outputs are carried out with asyncio.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from dataclasses import asdict
from typing import Any

from controller.decisions import (
    PATIENCE_S,
    TICK_S,
    AskPackets,
    AskRegisters,
    Changed,
    Decisions,
    Note,
    Output,
    Refresh,
    Reread,
    SendFrame,
    SendProbe,
    WaitForHost,
)
from controller.desired import Held
from controller.leaders import Heard
from controller.links import Probe
from controller.log import log
from controller.members import MembersTold
from controller.network import Network
from controller.program import Program
from controller.session import Session
from controller.tasks import within

ANSWER_S = 0.15
"""How long switches have to answer a register read."""


class Controller:
    """``run`` never returns; cancel it."""

    def __init__(self, network: Network, program: Program, election_id: int) -> None:
        self.election_id = election_id
        self.decisions = Decisions(network, time.monotonic())
        self.sessions = {switch.name: Session(switch, program, election_id, self) for switch in network.switches}
        self.changed = asyncio.Condition()
        """Notified when a session's standing or a leader changes."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Serve all switches, for ever."""
        tasks = [asyncio.ensure_future(job) for job in (*(one.run() for one in self.sessions.values()), self._tick())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, *self._tasks):
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)

    def set_feature(self, name: str, on: bool, switch: str | None = None) -> None:
        """Take a feature out of one switch or of all, or put it back. Raises ValueError for an unknown name."""
        self.decisions.set_feature(name, on, switch)
        self._carry_out()

    def set_limit(self, host: str, per_second: int | None) -> None:
        """Limit what may enter at a host's port, or take the limit away. Raises ValueError."""
        self.decisions.set_limit(host, per_second)
        self._carry_out()

    async def _tick(self) -> None:
        while True:
            self.decisions.tick(time.monotonic())
            self._carry_out()
            await asyncio.sleep(TICK_S)

    # -- what sessions ask and tell -----------------------------------------------------------------------------

    def desired(self, session: Session) -> tuple[Held, ...]:
        """What the switch ought to hold now."""
        return self.decisions.desired(session.name, time.monotonic())

    def found(self, session: Session, entries: tuple[Held, ...]) -> None:
        """The switch was read, and nothing is written yet."""
        self.decisions.found(session.name, entries)
        self._carry_out()

    def holds(self, session: Session, entries: tuple[Held, ...]) -> None:
        """The switch was written to."""
        self.decisions.holds(session.name, entries)

    def standing_changed(self, session: Session) -> None:
        """``session.standing`` is another one."""
        self.decisions.standing_changed(session.name, session.standing, time.monotonic())
        self._carry_out()

    def leader_heard(self, session: Session, group: int, slot: int, heard: Heard) -> None:
        """A leader digest."""
        self.decisions.leader_heard(session.name, group, slot, heard, time.monotonic())
        self._carry_out()

    def probe_heard(self, session: Session, port: int, probe: Probe) -> None:
        """A link probe came in at ``port``."""
        self.decisions.probe_heard(session.name, port, probe)

    def host_told(self, session: Session, address: str) -> None:
        """A digest: the host of this address says that nobody is there."""
        self.decisions.host_told(session.name, address, time.monotonic())
        self._carry_out()

    def silence_told(self, session: Session, group: int, slot: int, heard: Heard) -> None:
        """A digest: a member asks after a leader that the switch misses, too."""
        self.decisions.silence_told(session.name, group, slot, heard)
        self._carry_out()

    def echo_answered(self, session: Session, address: str, sequence: int) -> None:
        """A host answers an echo request."""
        self.decisions.echo_answered(session.name, address, sequence)

    def members_told(self, session: Session, told: MembersTold) -> None:
        """A Configuration message came in at the switch's edge."""
        self.decisions.members_told(session.name, told)
        self._carry_out()

    # -- what is to be done -------------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        for output in self.decisions.take():
            self._do(output)

    def _do(self, output: Output) -> None:
        if isinstance(output, Note):
            (log.warning if output.warning else log.info)("%s", output.text)
        elif isinstance(output, Refresh):
            self._refresh(output.event)
        elif isinstance(output, AskRegisters):
            self._spawn(self._read_registers(output))
        elif isinstance(output, AskPackets):
            self._spawn(self._read_packets())
        elif isinstance(output, SendProbe):
            probe = output.probe
            self._spawn(self.sessions[output.switch].send_frame(probe.port, probe.pack()))
        elif isinstance(output, SendFrame):
            self._spawn(self.sessions[output.switch].send_frame(output.port, output.frame))
        elif isinstance(output, WaitForHost):
            self._spawn(self._wait_for(output))
        elif isinstance(output, Reread):
            self.sessions[output.switch].reread()
        else:
            assert isinstance(output, Changed)
            self._spawn(self._notify())

    async def _wait_for(self, waited: WaitForHost) -> None:
        await asyncio.sleep(waited.seconds)
        self.decisions.host_waited_for(waited.host)
        self._carry_out()

    async def _read_registers(self, asked: AskRegisters) -> None:
        ready = [session for session in self.sessions.values() if session.ready]
        answers = await asyncio.gather(*(session.read_registers(asked.slot, ANSWER_S) for session in ready))
        readings = [answer for answer in answers if answer is not None]
        self.decisions.registers_read(asked.ask, readings, time.monotonic())
        self._carry_out()

    async def read_registers(self) -> dict[str, dict[str, dict[str, int]]]:
        """By switch and group: leader, term and age_us of who was heard last. Who does not answer is left out."""
        asked = [
            (session, group)
            for session in self.sessions.values()
            if session.ready
            for group in self.decisions.network.groups
        ]
        answers = await asyncio.gather(*(session.read_registers(group.slot, ANSWER_S) for session, group in asked))
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (session, group), answer in zip(asked, answers, strict=True):
            if answer is not None:
                found.setdefault(session.name, {})[str(group.id)] = asdict(answer)
        return found

    async def _read_packets(self) -> None:
        packets: dict[tuple[int, int], int] = {}
        for found in await asyncio.gather(*(session.member_packets() for session in self.sessions.values())):
            packets.update(found)
        self.decisions.packets_read(packets, time.monotonic())
        self._carry_out()

    def _refresh(self, event: str) -> None:
        """Have every session write what has changed; log ``event`` with the time that took."""
        versions = [(session, session.refresh()) for session in self.sessions.values() if session.ready]
        for session in self.sessions.values():
            if not session.ready:
                session.refresh()
        if event:
            self._spawn(self._report(event, versions))

    async def _report(self, event: str, versions: Iterable[tuple[Session, int]]) -> None:
        began = time.monotonic()
        done: list[str] = []
        late: list[str] = []

        async def follow(session: Session, version: int) -> None:
            try:
                await within(session.until(version), PATIENCE_S)
                done.append(session.name)
            except asyncio.TimeoutError:
                late.append(session.name)

        await asyncio.gather(*(follow(session, version) for session, version in versions))
        taken = (time.monotonic() - began) * 1000
        where = f"{', '.join(sorted(done))} in {taken:.0f} ms" if done else "no switch is connected"
        log.info("%s: %s%s", event, where, f"; {', '.join(sorted(late))} not yet" if late else "")

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background job failed", exc_info=task.exception())
