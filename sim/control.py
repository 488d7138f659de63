"""Controllers in simulated time: when things happen is here, what is decided is ``controller.decisions``.

A ``SimController`` does what ``controller.controller`` and ``controller.session`` do with asyncio: connect, stand by
for a controller with a higher election id, read, write the difference in batches, ask for registers, pass on what
switches tell.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from random import Random
from typing import Protocol

from controller import hints, members
from controller.decisions import (
    TICK_S,
    AskPackets,
    AskRegisters,
    Decisions,
    Note,
    Output,
    Refresh,
    Reread,
    SendFrame,
    SendProbe,
    Standing,
    WaitForHost,
)
from controller.desired import Entry, Held, Leadership, Write, apply, batches, diff
from controller.leaders import Heard, Reading
from controller.links import Probe
from controller.names import ControllerKind
from controller.network import Network
from controller.program import GONE_DIGEST, LEADER_DIGEST
from sim.events import MS, SECOND
from sim.fabric import Fabric, SimSwitch
from sim.scene import Scene

ANSWER_MS = 150
"""How long switches have to answer a register read, as in ``controller.controller``."""

RETRY_MS = 200
"""After a request that failed, as in ``controller.session``."""

_PACKET_IN = struct.Struct(">HBBQ6s6s")


class Session:
    """The controller's side of one switch."""

    def __init__(self, switch: SimSwitch) -> None:
        self.switch = switch
        self.name = switch.name
        self.life = 0
        """The life of the switch that was connected to."""
        self.standing = Standing.AWAY
        self.entries: tuple[Held, ...] = ()
        self.unread = True
        """Whether its tables must be read before anything is written."""
        self.update = 0
        """The number of the update under way, 0 if there is none."""
        self.half_done = False
        """Whether some entries of that update are written, and some are not."""
        self.dirty = False
        self.asked: dict[int, list[int]] = {}
        """Numbers of the questions for a slot's registers that wait for an answer, by slot."""

    @property
    def here(self) -> bool:
        """Whether the switch that was connected to is still there."""
        return self.standing is not Standing.AWAY and self.switch.up and self.switch.life == self.life

    @property
    def ready(self) -> bool:
        return self.standing is Standing.READY and self.here


class Rivals(Protocol):
    """What a controller's life depends on beside itself."""

    slowness: float
    """How many times longer everything takes."""

    def primary(self, switch: SimSwitch) -> SimController | None:
        """Which controller rules a switch."""

    def stop_controller(self) -> None:
        """Kill the first controller."""


class SimController:
    """One life of a controller."""

    def __init__(
        self, scene: Scene, fabric: Fabric, rivals: Rivals, network: Network, life: int, election_id: int
    ) -> None:
        self._scene = scene
        self._fabric = fabric
        self._rivals = rivals
        self.election_id = election_id
        self.alive = True
        self.doomed = False
        """Whether it is to crash in the middle of its next update of a switch."""
        self._events = scene.events
        self._random = Random(f"controller/{scene.plan.seed}/{life}")
        self.decisions = Decisions(network, self._now)
        self.sessions = {name: Session(one) for name, one in fabric.switches.items()}
        self._updates = 0
        self._readings: dict[int, list[Reading]] = {}
        """Answers so far, by the number of the question."""
        for session in self.sessions.values():
            self._after(self._draw(20, 200), self._poll, session)
        self._after(0, self._tick)

    @property
    def _now(self) -> float:
        return self._events.now / SECOND

    def crash(self) -> None:
        """Gone, in the middle of whatever it did."""
        self.alive = False
        for session in self.sessions.values():
            if session.here and session.half_done:
                self._scene.counts["updates left half done"] += 1

    def leads(self, session: Session) -> bool:
        """Whether this controller is the primary of a switch."""
        return self._rivals.primary(session.switch) is self

    def set_feature(self, name: str, on: bool) -> None:
        """Take a feature out of all switches, or put it back."""
        self._tell(self.decisions.set_feature, name, on)

    def set_limit(self, host: str, per_second: int | None) -> None:
        """Limit what enters at a host's port, or limit it no more."""
        self._tell(self.decisions.set_limit, host, per_second)

    def rules(self, switch: str) -> bool:
        """Whether a switch holds what this controller wishes, as far as that is known."""
        session = self.sessions[switch]
        return session.ready and not session.update and not session.unread and self.leads(session)

    def _draw(self, low_ms: float, high_ms: float) -> int:
        slow = self._rivals.slowness
        return round(self._random.uniform(low_ms, high_ms) * MS * slow)

    def _after(self, delay_us: int, job: object, *arguments: object) -> None:
        self._events.after(delay_us, self._run, job, arguments)

    def _run(self, job: object, arguments: tuple[object, ...]) -> None:
        if self.alive:
            job(*arguments)  # type: ignore[operator]

    # -- what is decided ----------------------------------------------------------------------------------------

    def _tell(self, event: Callable[..., None], *arguments: object) -> None:
        """Let the decisions know, count what they decide, and carry it out."""
        before = self.decisions.network, self.decisions.view.links, dict(self.decisions.leaders)
        hinted = self.decisions.hints.copy()
        event(*arguments)
        self._count(*before)
        for (_, cause), count in (self.decisions.hints - hinted).items():
            self._scene.counts[f"hints given: {cause.name.lower()}"] += count
        for output in self.decisions.take():
            self._do(output)

    def _count(self, network: Network, links: object, led: dict[int, Leadership]) -> None:
        counts, decisions = self._scene.counts, self.decisions
        counts["members followed"] += decisions.network != network
        counts["routes changed"] += decisions.view.links != links
        for group, leadership in decisions.leaders.items():
            if leadership != led[group]:
                counts[_what_happened(led[group], leadership)] += 1

    def _do(self, output: Output) -> None:
        if isinstance(output, Note):
            self._scene.note("controller", output.text)
        elif isinstance(output, Refresh):
            if output.event:
                self._scene.note("controller", output.event)
            for session in self.sessions.values():
                self._refresh(session)
        elif isinstance(output, AskRegisters):
            self._scene.counts["inquiries"] += output.inquiry
            self._ask_registers(output)
        elif isinstance(output, AskPackets):
            self._after(self._draw(1, 20), self._read_packets)
        elif isinstance(output, SendProbe):
            self._fabric.send_frame(self.sessions[output.switch].switch, output.probe.port, output.probe.pack())
        elif isinstance(output, SendFrame):
            self._after(self._draw(0.3, 3), self._send_frame, output)
        elif isinstance(output, WaitForHost):
            late = self._draw(0, 3)
            self._after(round(output.seconds * SECOND) + late, self._waited, output.host)
        elif isinstance(output, Reread):
            self._scene.counts["switches audited" if output.audit else "switches read again"] += 1
            self.sessions[output.switch].unread = True
            self._refresh(self.sessions[output.switch])

    def _tick(self) -> None:
        self._tell(self.decisions.tick, self._now)
        self._after(round(TICK_S * SECOND), self._tick)

    def _send_frame(self, output: SendFrame) -> None:
        session = self.sessions[output.switch]
        if session.ready:
            self._scene.counts["frames to hosts"] += 1
            self._fabric.send_frame(session.switch, output.port, output.frame)

    def _waited(self, host: str) -> None:
        self._tell(self.decisions.host_waited_for, host)

    def _ask_registers(self, asked: AskRegisters) -> None:
        self._readings[asked.ask] = []
        for session in self.sessions.values():
            if session.ready and self._random.random() > 0.02:
                session.asked.setdefault(asked.slot, []).append(asked.ask)
                self._after(self._draw(0.3, 30), self._ask_switch, session, asked.slot)
        self._after(ANSWER_MS * MS, self._registers_read, asked)

    def _ask_switch(self, session: Session, slot: int) -> None:
        if session.ready:
            self._fabric.tick(session.switch, slot)

    def _registers_read(self, asked: AskRegisters) -> None:
        for session in self.sessions.values():
            if asked.ask in session.asked.get(asked.slot, ()):
                session.asked[asked.slot].remove(asked.ask)
        self._tell(self.decisions.registers_read, asked.ask, self._readings.pop(asked.ask), self._now)

    def _read_packets(self) -> None:
        now: dict[tuple[int, int], int] = {}
        for session in self.sessions.values():
            for entry in session.switch.entries() if session.ready else ():
                if isinstance(entry, Entry) and entry.table == "members":
                    key = dict(entry.match)
                    group, source = key["group"], key["source"]
                    assert isinstance(group, int) and isinstance(source, int)
                    now[group, source] = session.switch.packets_of(entry)
        self._tell(self.decisions.packets_read, now, self._now)

    # -- sessions -----------------------------------------------------------------------------------------------

    def _poll(self, session: Session) -> None:
        """Connect when the switch is there, notice when it is gone, or who is its primary."""
        if session.standing is not Standing.AWAY and not session.here:
            session.entries = ()
            self._move(session, Standing.AWAY)
        elif session.standing is Standing.AWAY and session.switch.up:
            session.life = session.switch.life
            self._arbitrated(session)
        elif session.here and self.leads(session) is (session.standing is Standing.STANDBY):
            self._arbitrated(session)
        self._after(self._draw(40, 60), self._poll, session)

    def _arbitrated(self, session: Session) -> None:
        """The switch has said whether this controller is its primary. A new primary reads before it writes."""
        session.update, session.unread = 0, True
        session.half_done = session.dirty = False
        session.asked.clear()
        session.standing = Standing.PROGRAMMING  # here from now on, so that the switch can choose
        if not self.leads(session):
            self._move(session, Standing.STANDBY, moved=True)
            return
        self._move(session, Standing.PROGRAMMING, moved=True)
        self._refresh(session)

    def _move(self, session: Session, standing: Standing, *, moved: bool = False) -> None:
        if moved or standing is not session.standing:
            session.standing = standing
            self._tell(self.decisions.standing_changed, session.name, standing, self._now)

    def _refresh(self, session: Session) -> None:
        """What is desired may have changed."""
        if not session.here or session.standing is Standing.STANDBY:
            return
        if session.update:
            session.dirty = True
            return
        self._updates += 1
        session.update, session.dirty = self._updates, False
        after = self._draw(10, 60) if session.unread else self._draw(0.3, 3)
        self._after(after, self._update, session, session.update)

    def _update(self, session: Session, update: int) -> None:
        if not self._may_write(session, update):
            return
        if session.unread:
            session.unread = False
            session.entries = session.switch.entries()
            self._tell(self.decisions.found, session.name, session.entries)
        writes = list(batches(diff(self.decisions.desired(session.name, self._now), session.entries)))
        self._write(session, update, writes, 0)

    def _may_write(self, session: Session, update: int) -> bool:
        """A switch takes nothing from whom it has not made its primary. What was begun is then given up, and tried
        again a while later, unless ``_poll`` finds out more before."""
        if session.update != update:
            return False
        if session.here and self.leads(session):
            return True
        self._give_up(session)
        return False

    def _give_up(self, session: Session) -> None:
        """The update under way has failed, perhaps in part: the switch is read again."""
        session.update, session.unread = 0, True
        session.half_done = False
        self._scene.counts["failed updates"] += 1
        self._after(round(RETRY_MS * MS), self._refresh, session)

    def _write(self, session: Session, update: int, writes: list[tuple[Write, ...]], at: int) -> None:
        """One request; a large one is perhaps carried out in two halves."""
        if not self._may_write(session, update):
            return
        if at == len(writes):
            session.update = 0
            if not session.ready:
                self._scene.counts["switches programmed"] += 1
                self._scene.note("controller", f"{session.name} is programmed")
                self._move(session, Standing.READY)
            if session.dirty or session.unread:
                self._refresh(session)
            return
        batch = writes[at]
        if len(batch) > 1 and self._random.random() < 0.3:
            half = len(batch) // 2
            writes[at : at + 1] = [batch[:half], batch[half:]]
            batch = writes[at]
            self._scene.counts["updates cut in half"] += 1
        try:
            for write in batch:
                session.switch.write(write)
        except KeyError:
            # An entry is not as it was believed to be.
            self._give_up(session)
            return
        session.entries = apply(batch, session.entries)
        self.decisions.holds(session.name, session.entries)
        session.half_done = at + 1 < len(writes)
        if session.half_done and self.doomed:
            self._rivals.stop_controller()
        self._scene.counts["table updates"] += len(batch)
        self._after(self._draw(0.3, 3), self._write, session, update, writes, at + 1)

    # -- what switches tell -------------------------------------------------------------------------------------

    def digest(self, switch: SimSwitch, name: str, fields: tuple[int, ...]) -> None:
        """A switch has heard a leader that its entry does not name, misses one, or was told of a member's end."""
        session = self.sessions[switch.name]
        if not session.here or not self.leads(session):
            return
        if name == GONE_DIGEST:
            self._tell(self.decisions.host_told, session.name, str(IPv4Address(fields[0])), self._now)
            return
        group, slot, leader, term = fields
        if name == LEADER_DIGEST:
            self._tell(self.decisions.leader_heard, session.name, group, slot, Heard(leader, term), self._now)
        else:
            self._tell(self.decisions.silence_told, session.name, group, slot, Heard(leader, term))

    def packet_in(self, switch: SimSwitch, frame: bytes) -> None:
        """An answer to a register read, a probe that has come over a link, or a Configuration message."""
        head, slot, leader, term, heard_us, now_us = _PACKET_IN.unpack_from(frame)
        session = self.sessions[switch.name]
        if not session.here:
            return
        if head & 0x7F == ControllerKind.REGISTERS:
            age = (int.from_bytes(now_us, "big") - int.from_bytes(heard_us, "big")) % 2**48
            for ask in session.asked.pop(slot, ()):
                self._readings[ask].append(Reading(leader, term, age))
        elif head & 0x7F == ControllerKind.PROBE:
            probe = Probe.unpack(frame[_PACKET_IN.size :])
            if probe is not None:
                self.decisions.probe_heard(session.name, head >> 7, probe)
        elif head & 0x7F == ControllerKind.CONFIGURATION:
            told = members.unpack(frame[_PACKET_IN.size :])
            if told is not None:
                self._tell(self.decisions.members_told, session.name, told)
        elif head & 0x7F == ControllerKind.ECHO_REPLY:
            answer = hints.read_echo_reply(frame[_PACKET_IN.size :])
            if answer is not None:
                self._scene.counts["echo answers"] += 1
                self.decisions.echo_answered(session.name, *answer)


def _what_happened(before: Leadership, after: Leadership) -> str:
    if after.leader:
        return "routes moved"
    return "routes taken out" if before.leader else "stand-ins"
