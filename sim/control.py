"""The controller in simulated time: when things happen is here, what is decided is the controller's own code.

It does what ``controller.controller`` and ``controller.session`` do with asyncio: connect, read, write the difference
in batches, follow digests, ask registers before it believes a lower term, probe links, watch for silent leaders.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controller import leaders, members
from controller.controller import ABSENT_AFTER_S, PATIENCE_S, WATCH_S
from controller.desired import (
    Entry,
    Leadership,
    View,
    Write,
    apply,
    batches,
    desired_entries,
    diff,
    installed_leaders,
    installed_members,
)
from controller.leaders import Heard, Reading, Verdict
from controller.links import PERIOD_S, LinkMonitor, Probe
from controller.members import Told
from controller.network import Group, Network
from sim.events import MS, SECOND
from sim.fabric import SimSwitch

if TYPE_CHECKING:
    from sim.world import World

_PACKET_IN = struct.Struct(">HBBQ6s6s")
_REGISTERS, _PROBE, _CONFIGURATION = 1, 2, 3


class Session:
    """The controller's side of one switch's one life."""

    def __init__(self, switch: SimSwitch, lost_us: int) -> None:
        self.switch = switch
        self.life = 0
        self.connected = False
        self.known = False
        """Whether its tables have been read since it was connected to."""
        self.ready = False
        self.seen = False
        self.lost_us = lost_us
        self.entries: tuple[Entry, ...] = ()
        self.writing = False
        self.half_done = False
        """Whether some entries of the update under way are written, and some are not."""
        self.dirty = False

    @property
    def here(self) -> bool:
        """Whether the switch that was connected to is still there."""
        return self.connected and self.switch.up and self.switch.life == self.life


class SimController:
    """One life of the controller."""

    def __init__(self, world: World, network: Network, life: int) -> None:
        self.world = world
        self.network = network
        self.alive = True
        self.doomed = False
        """Whether it is to crash in the middle of its next update of a switch."""
        self._events = world.events
        self._random = Random(f"controller/{world.plan.seed}/{life}")
        self._started = world.events.now
        self.features = world.plan.features
        self.sessions = {name: Session(one, self._started) for name, one in world.switches().items()}
        self.monitor = LinkMonitor(network)
        self.leaders = {group.id: Leadership() for group in network.groups}
        self._known: set[int] = set()
        self._told: dict[int, Told] = {}
        self._inquiries: set[int] = set()
        self._readings: list[Reading] | None = None
        self._usable = self.monitor.usable()
        self._standins = leaders.Standins()
        for session in self.sessions.values():
            self._after(self._draw(20, 200), self._poll, session)
        self._after(0, self._probe_links)
        self._after(round(WATCH_S * SECOND), self._watch_leaders)

    def crash(self) -> None:
        """Gone, in the middle of whatever it did."""
        self.alive = False
        for session in self.sessions.values():
            if session.here and session.half_done:
                self.world.counts["updates left half done"] += 1

    def _draw(self, low_ms: float, high_ms: float) -> int:
        slow = self.world.controller_slowness
        return round(self._random.uniform(low_ms, high_ms) * MS * slow)

    def _after(self, delay_us: int, job: object, *arguments: object) -> None:
        self._events.after(delay_us, self._run, job, arguments)

    def _run(self, job: object, arguments: tuple[object, ...]) -> None:
        if self.alive:
            job(*arguments)  # type: ignore[operator]

    # -- sessions -----------------------------------------------------------------------------------------------

    def _poll(self, session: Session) -> None:
        """Connect when the switch is there, notice when it is gone."""
        if session.connected and not session.here:
            session.connected = session.known = session.ready = session.writing = session.half_done = False
            session.entries = ()
            session.lost_us = self._events.now
            self.monitor.restart(session.switch.name)
            self._links_changed()
        if not session.connected and session.switch.up:
            session.connected, session.life = True, session.switch.life
            self._after(self._draw(10, 60), self._read, session, session.life)
        self._after(self._draw(40, 60), self._poll, session)

    def _read(self, session: Session, life: int) -> None:
        if not session.here or session.life != life:
            return
        session.entries = session.switch.entries()
        session.known = True
        self._found(session)
        self._refresh_one(session)

    def _found(self, session: Session) -> None:
        """A controller that has just taken over knows leaders and members from what switches hold."""
        for number, member, address in installed_members(session.entries):
            group = self.network.group(number)
            if group is not None and number not in self._told:
                self._set_members(group, members.with_installed(self.network, group, member, address))
        for group_id, installed in installed_leaders(session.entries).items():
            group = self.network.group(group_id)
            if group is None or group_id in self._known:
                continue
            if installed.leader and group.member(installed.leader) is None:
                continue
            before = self.leaders[group_id]
            self.leaders[group_id] = leaders.recover(before, installed)
            if self.leaders[group_id] != before:
                self._refresh()

    def _desired(self, session: Session) -> tuple[Entry, ...]:
        entries = desired_entries(self.network, session.switch.name, View(self._usable, self.leaders, self.features))
        routes = [entry for entry in session.entries if entry.table == "ipv4_lpm"]
        young = self._events.now - self._started < PATIENCE_S * SECOND
        if not (routes and young and not self.monitor.settled(self.sessions)):
            return entries
        held = {entry.key for entry in routes}
        return (*(entry for entry in entries if entry.key not in held), *routes)

    def _refresh(self) -> None:
        """What is desired may have changed."""
        for session in self.sessions.values():
            self._refresh_one(session)

    def _refresh_one(self, session: Session) -> None:
        if not (session.here and session.known):
            return
        if session.writing:
            session.dirty = True
            return
        session.dirty = False
        writes = list(batches(diff(self._desired(session), session.entries)))
        session.writing = True
        self._after(self._draw(0.3, 3), self._write, session, session.life, writes, 0)

    def _write(self, session: Session, life: int, writes: list[tuple[Write, ...]], at: int) -> None:
        """One request; a large one is perhaps carried out in two halves."""
        if not session.here or session.life != life:
            return
        if at == len(writes):
            session.writing = False
            if not session.ready:
                session.ready = session.seen = True
                self.world.counts["switches programmed"] += 1
                self.world.note("controller", f"{session.switch.name} is programmed")
                self.monitor.restart(session.switch.name)
                self._links_changed()
            if session.dirty:
                self._refresh_one(session)
            return
        batch = writes[at]
        if len(batch) > 1 and self._random.random() < 0.3:
            half = len(batch) // 2
            writes[at : at + 1] = [batch[:half], batch[half:]]
            batch = writes[at]
            self.world.counts["updates cut in half"] += 1
        for write in batch:
            session.switch.write(write)
        session.entries = apply(batch, session.entries)
        session.half_done = at + 1 < len(writes)
        if session.half_done and self.doomed:
            self.world.stop_controller()
        self.world.counts["table updates"] += len(batch)
        self._after(self._draw(0.3, 3), self._write, session, life, writes, at + 1)

    def set_feature(self, name: str, on: bool) -> None:
        """Take a feature out of all switches, or put it back."""
        self.features = self.features | {name} if on else self.features - {name}
        self._refresh()

    # -- leaders ------------------------------------------------------------------------------------------------

    def digest(self, switch: SimSwitch, fields: tuple[int, ...]) -> None:
        """A switch has heard a leader that its entry does not name."""
        session = self.sessions[switch.name]
        group_id, slot, leader, term = fields
        group = self.network.group(group_id)
        if not session.here or group is None or group.slot != slot:
            return
        heard = Heard(leader, term)
        verdict = leaders.decide(self.leaders[group_id], _ids(group), heard)
        if verdict is Verdict.INSTALL:
            self._install(group, heard)
        elif verdict is Verdict.ASK and group_id not in self._inquiries:
            self._inquiries.add(group_id)
            self._after(self._draw(1, 100), self._inquire, group, heard)

    def _install(self, group: Group, heard: Heard) -> None:
        before = self.leaders[group.id]
        self.leaders[group.id] = Leadership(heard.leader, heard.term, before.standin)
        self._known.add(group.id)
        self.world.counts["routes moved"] += 1
        self.world.note("controller", f"group {group.id}: leader {heard.leader}, term {heard.term}")
        self._refresh()

    def _inquire(self, group: Group, heard: Heard) -> None:
        """Before a lower term is believed, ask all switches whether anyone still hears the old leader."""
        self._inquiries.discard(group.id)
        self.world.counts["inquiries"] += 1
        fresh_us = leaders.fresh_within_us(self.network.filter_window_ms)
        found = leaders.judge(self.leaders[group.id], _ids(group), self._read_registers(group), fresh_us)
        if found is not None:
            self._install(group, found)

    def _read_registers(self, group: Group) -> list[Reading]:
        self._readings = []
        for session in self.sessions.values():
            if session.ready and session.here and self._random.random() > 0.02:
                self.world.tick_switch(session.switch, group.slot)
        found, self._readings = self._readings, None
        return found

    def packet_in(self, switch: SimSwitch, frame: bytes) -> None:
        """An answer to a register read, or a probe that has come over a link."""
        head, _slot, leader, term, heard_us, now_us = _PACKET_IN.unpack_from(frame)
        if head & 0x7F == _REGISTERS:
            age = (int.from_bytes(now_us, "big") - int.from_bytes(heard_us, "big")) % 2**48
            if self._readings is not None:
                self._readings.append(Reading(leader, term, age))
        elif head & 0x7F == _PROBE:
            probe = Probe.unpack(frame[_PACKET_IN.size :])
            if probe is not None and self.sessions[switch.name].here:
                self.monitor.heard(switch.name, head >> 7, probe)

        elif head & 0x7F == _CONFIGURATION and self.sessions[switch.name].here:
            told = members.unpack(frame[_PACKET_IN.size :])
            if told is not None:
                self._members_told(told)

    def _members_told(self, told: Told) -> None:
        group = self.network.group(told.group)
        if group is None or not members.is_news(told, self.leaders[told.group], self._told.get(told.group)):
            return
        self._told[told.group] = told
        self._set_members(group, members.followed(self.network, group, told.members)[0])

    def _set_members(self, before: Group, after: Group) -> None:
        if after != before:
            self.world.counts["members followed"] += 1
            groups = tuple(after if group.id == after.id else group for group in self.network.groups)
            self.network = replace(self.network, groups=groups)
            self._refresh()

    def _watch_leaders(self) -> None:
        limit_us = leaders.silent_after_us(self.network.filter_window_ms)
        for group in self.network.groups:
            current = self.leaders[group.id]
            if current.leader and leaders.is_silent(self._read_registers(group), limit_us):
                self.leaders[group.id] = Leadership(0, current.term, current.standin)
                self.world.counts["routes taken out"] += 1
                self.world.note("controller", f"group {group.id}: nobody hears the leader")
                self._refresh()
        if any(not held.leader for held in self.leaders.values()):
            self._choose_standins()
        else:
            self._standins.forget()
        self._after(round(WATCH_S * SECOND), self._watch_leaders)

    def _choose_standins(self) -> None:
        now: dict[tuple[int, int], int] = {}
        for session in self.sessions.values():
            for entry in session.switch.entries() if session.ready and session.here else ():
                if entry.table == "members":
                    key = dict(entry.match)
                    group, source = key["group"], key["source"]
                    assert isinstance(group, int) and isinstance(source, int)
                    now[group, source] = session.switch.packets_of(entry)
        for number, leadership in self._standins.choose(self.network.groups, self.leaders, now).items():
            self.leaders[number] = leadership
            self.world.counts["stand-ins"] += 1
            self._refresh()

    # -- links --------------------------------------------------------------------------------------------------

    def _probe_links(self) -> None:
        self.monitor.check()
        self._links_changed()
        ready = [name for name, session in self.sessions.items() if session.ready and session.here]
        for name, probe in self.monitor.due(ready):
            self.world.send_probe(self.sessions[name].switch, probe.port, probe.pack())
        self._after(round(PERIOD_S * SECOND), self._probe_links)

    def _absent(self) -> set[str]:
        now = self._events.now
        return {
            name
            for name, session in self.sessions.items()
            if not session.connected
            and now - session.lost_us > (ABSENT_AFTER_S if session.seen else PATIENCE_S) * SECOND
        }

    def _links_changed(self) -> None:
        absent = self._absent()
        usable = frozenset(link for link in self.monitor.usable() if link.a not in absent and link.b not in absent)
        if usable != self._usable:
            self._usable = usable
            self.world.counts["routes changed"] += 1
            self._refresh()
        elif self._events.now - self._started < 2 * PATIENCE_S * SECOND:
            self._refresh()


def _ids(group: Group) -> tuple[int, ...]:
    return tuple(member.id for member in group.members)
