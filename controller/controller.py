"""The controller: sessions to all switches, and what they are told from what they tell.

Decisions are in ``desired``, ``leaders``, ``links`` and ``routes``; here they meet the clock and the switches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any

from controller import leaders, members
from controller.desired import Entry, Leadership, View, desired_entries, installed_leaders, installed_members
from controller.leaders import Heard, Reading, Verdict
from controller.links import PERIOD_S, LinkMonitor, Probe, State
from controller.log import log
from controller.members import Told
from controller.network import FEATURES, Group, Network
from controller.program import Program
from controller.session import Session, Standing

ANSWER_S = 0.15
"""How long switches have to answer a register read."""
WATCH_S = 0.5
"""How often it is asked whether leaders are still heard."""
ABSENT_AFTER_S = 0.5
"""A switch that is away for longer is routed around."""
PATIENCE_S = 2.0
"""The same for one that has not been seen since the controller started; also how long a log line waits for writes."""


class Controller:
    """``run`` never returns; cancel it."""

    def __init__(self, network: Network, program: Program, election_id: int) -> None:
        self.network = network
        self.election_id = election_id
        self.sessions = {switch.name: Session(switch, program, election_id, self) for switch in network.switches}
        self.monitor = LinkMonitor(network)
        self.features = frozenset(network.features)
        self.leaders: dict[int, Leadership] = {group.id: Leadership() for group in network.groups}
        self.changed = asyncio.Condition()
        """Notified when a session's standing or a leader changes."""
        self._known: set[int] = set()
        """Groups whose leader this controller has decided on, rather than found in a switch's entries."""
        self._inquiries: set[int] = set()
        self._started = time.monotonic()
        self._seen: set[str] = set()
        self._absent: set[str] = set()
        self._usable = self.monitor.usable()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told: dict[int, Told] = {}
        """The last Configuration message of each group that was believed."""
        self._standins = leaders.Standins()

    async def run(self) -> None:
        """Serve all switches, for ever."""
        jobs = [session.run() for session in self.sessions.values()]
        tasks = [asyncio.ensure_future(job) for job in (*jobs, self._probe_links(), self._watch_leaders())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, *self._tasks):
                task.cancel()
            await asyncio.gather(*tasks, *self._tasks, return_exceptions=True)

    @property
    def stands_by(self) -> bool:
        """Whether another controller is the primary of every switch that can be reached."""
        standings = {session.standing for session in self.sessions.values()} - {Standing.AWAY}
        return standings == {Standing.STANDBY}

    def set_feature(self, name: str, on: bool) -> None:
        """Take a feature out of all switches, or put it back."""
        if name not in FEATURES:
            raise ValueError(f"{name!r} is none of {', '.join(FEATURES)}")
        self.features = self.features | {name} if on else self.features - {name}
        log.info("feature %s %s", name, "on" if on else "off")
        self._refresh(f"feature {name}")

    # What sessions ask and tell.

    def desired(self, session: Session) -> tuple[Entry, ...]:
        """What the switch ought to hold. A switch that has routes keeps them until probes have spoken: a controller
        that has just started must not send traffic over a link that its predecessor knew to be down."""
        entries = desired_entries(self.network, session.name, self.view)
        routes = [entry for entry in session.entries if entry.table == "ipv4_lpm"]
        settling = time.monotonic() - self._started < PATIENCE_S and not self.monitor.settled(self.sessions)
        if not (routes and settling):
            return entries
        held = {entry.key for entry in routes}
        return (*(entry for entry in entries if entry.key not in held), *routes)

    @property
    def view(self) -> View:
        """What is known now."""
        return View(self._usable, self.leaders, self.features)

    def found(self, session: Session, entries: tuple[Entry, ...]) -> None:
        """A controller that has just taken over knows leaders and members from what switches hold."""
        for group_id, member_id, address in installed_members(entries):
            group = self.network.group(group_id)
            if group is not None and group_id not in self._told:
                self._set_members(group, members.with_installed(self.network, group, member_id, address))
        for group_id, installed in installed_leaders(entries).items():
            group = self.network.group(group_id)
            if group is None or group_id in self._known:
                continue
            if installed.leader and group.member(installed.leader) is None:
                continue
            before = self.leaders[group_id]
            self.leaders[group_id] = leaders.recover(before, installed)
            if self.leaders[group_id] != before:
                log.info("group %d: %s, as found in %s", group_id, self._who(group, installed), session.name)
                self._refresh()

    def standing_changed(self, session: Session) -> None:
        """A switch came or went: what was missed of its probes says nothing."""
        if session.standing is Standing.READY:
            self._seen.add(session.name)
            self._absent.discard(session.name)
        elif session.standing is Standing.STANDBY:
            # Another controller decides now; what this one knows grows old.
            self._known.clear()
            if self.stands_by:
                self.leaders = {group.id: Leadership() for group in self.network.groups}
        self.monitor.restart(session.name)
        self._links_changed()
        self._spawn(self._notify())

    def leader_heard(self, session: Session, group_id: int, slot: int, heard: Heard) -> None:
        """A digest: the switch has heard a leader that its entry does not name."""
        group = self.network.group(group_id)
        if group is None or group.slot != slot:
            log.warning("%s: a digest of group %d, slot %d, which is none of ours", session.name, group_id, slot)
            return
        current = self.leaders[group_id]
        verdict = leaders.decide(current, _ids(group), heard)
        if verdict is Verdict.IGNORE:
            log.warning("%s: heard a leader %d of group %d, who is no member", session.name, heard.leader, group_id)
        elif verdict is Verdict.INSTALL:
            self._install(group, heard)
        elif verdict is Verdict.ASK:
            self._spawn(self._inquire(group, heard, session.name))
        elif self._holds(session, group_id, current):
            # It tells of what it should already hold. Digests that were under way do that for a moment only.
            self._spawn(self._doubt(session, group_id))

    def probe_heard(self, session: Session, port: int, probe: Probe) -> None:
        """A link works in one direction."""
        self.monitor.heard(session.name, port, probe)

    def members_told(self, session: Session, told: Told) -> None:
        """A leader says who the committed members are."""
        group = self.network.group(told.group)
        if group is None or not members.is_news(told, self.leaders[told.group], self._told.get(told.group)):
            return
        self._told[told.group] = told
        changed, strangers = members.followed(self.network, group, told.members)
        for address in strangers:
            log.warning("group %d: member %s hangs on no port that this controller knows", group.id, address)
        self._set_members(group, changed, f" since index {told.index}, {session.name} told")

    def _set_members(self, before: Group, after: Group, why: str = "") -> None:
        if after == before:
            return
        groups = tuple(after if group.id == after.id else group for group in self.network.groups)
        self.network = replace(self.network, groups=groups)
        names = ", ".join(member.host if member.votes else f"{member.host} (learner)" for member in after.members)
        self._refresh(f"group {after.id}: members {names}{why}")

    # Leaders.

    def _install(self, group: Group, heard: Heard, why: str = "") -> None:
        before = self.leaders[group.id]
        self.leaders[group.id] = Leadership(heard.leader, heard.term, before.standin)
        self._known.add(group.id)
        text = f"group {group.id}: {self._who(group, self.leaders[group.id])} (was {self._who(group, before)}){why}"
        self._refresh(text)
        self._spawn(self._notify())

    def _who(self, group: Group, leadership: Leadership) -> str:
        member = group.member(leadership.leader)
        if member is not None:
            return f"leader {member.host}, term {leadership.term}"
        return f"no leader, term {leadership.term}" if leadership.term else "no leader"

    async def _inquire(self, group: Group, heard: Heard, switch: str) -> None:
        """Before a lower term is believed, ask all switches whether anyone still hears the old leader."""
        if group.id in self._inquiries:
            return
        self._inquiries.add(group.id)
        try:
            current = self.leaders[group.id]
            readings = await self._read_registers(group)
            fresh_us = leaders.fresh_within_us(self.network.filter_window_ms)
            found = leaders.judge(current, _ids(group), readings, fresh_us)
            if self.leaders[group.id] != current:
                return
            if found is not None:
                self._install(group, found, f"; nobody hears the old one, {switch} told")
            elif heard.term == current.term and readings:
                log.warning(
                    "group %d: %s heard %d lead term %d, which %s; kept",
                    *(group.id, switch, heard.leader, heard.term, self._who(group, current)),
                )
        finally:
            self._inquiries.discard(group.id)

    async def _read_registers(self, group: Group) -> list[Reading]:
        ready = [session for session in self.sessions.values() if session.ready]
        answers = await asyncio.gather(*(session.read_registers(group.slot, ANSWER_S) for session in ready))
        return [answer for answer in answers if answer is not None]

    async def _watch_leaders(self) -> None:
        """Take leaders that nobody hears out of the switches, and find a stand-in for their service address."""
        limit_us = leaders.silent_after_us(self.network.filter_window_ms)
        while True:
            await asyncio.sleep(WATCH_S)
            for group in self.network.groups:
                current = self.leaders[group.id]
                if not current.leader:
                    continue
                readings = await self._read_registers(group)
                if leaders.is_silent(readings, limit_us) and self.leaders[group.id] == current:
                    self.leaders[group.id] = Leadership(0, current.term, current.standin)
                    self._refresh(f"group {group.id}: nobody hears {self._who(group, current)}; taken out")
            if any(not held.leader for held in self.leaders.values()):
                await self._choose_standins()
            else:
                self._standins.forget()

    async def _choose_standins(self) -> None:
        now: dict[tuple[int, int], int] = {}
        for packets in await asyncio.gather(*(session.member_packets() for session in self.sessions.values())):
            now.update(packets)
        for group_id, leadership in self._standins.choose(self.network.groups, self.leaders, now).items():
            self.leaders[group_id] = leadership
            group = self.network.group(group_id)
            member = group.member(leadership.standin) if group else None
            who = member.host if member else leadership.standin
            self._refresh(f"group {group_id}: no leader; {who} answers for it")

    @staticmethod
    def _holds(session: Session, group_id: int, leadership: Leadership) -> bool:
        held = installed_leaders(session.entries).get(group_id)
        return held is not None and (held.leader, held.term) == (leadership.leader, leadership.term)

    async def _doubt(self, session: Session, group_id: int) -> None:
        """Read a switch again that goes on telling what its entry says. At most once a second each."""
        key = -1 - list(self.sessions).index(session.name)
        if key in self._inquiries:
            return
        self._inquiries.add(key)
        try:
            await asyncio.sleep(1.0)
            session.reread()
        finally:
            self._inquiries.discard(key)

    # Links.

    async def _probe_links(self) -> None:
        while True:
            self.monitor.check()
            self._note_absent()
            self._links_changed()
            ready = [session.name for session in self.sessions.values() if session.ready]
            for switch, probe in self.monitor.due(ready):
                await self.sessions[switch].send_probe(probe)
            await asyncio.sleep(PERIOD_S)

    def _note_absent(self) -> None:
        now = time.monotonic()
        for session in self.sessions.values():
            if session.standing is not Standing.AWAY or session.name in self._absent:
                continue
            limit = ABSENT_AFTER_S if session.name in self._seen else PATIENCE_S
            if now - session.lost_at > limit:
                self._absent.add(session.name)

    def _links_changed(self) -> None:
        """Write routes anew if what can be used is not what was used."""
        usable = frozenset(
            link for link in self.monitor.usable() if link.a not in self._absent and link.b not in self._absent
        )
        if usable == self._usable:
            if time.monotonic() - self._started < 2 * PATIENCE_S:
                # Routes may have been held back until links were known.
                self._refresh()
            return
        for link in self.network.links:
            if (link in usable) != (link in self._usable):
                why = "" if self.monitor.state(link) is State.DOWN or link in usable else " (a switch is away)"
                log.info("link %s %s%s", link, "up" if link in usable else "down", why)
        self._usable = usable
        self._refresh("routes")

    # Telling all.

    def _refresh(self, event: str = "") -> None:
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
                await asyncio.wait_for(session.until(version), PATIENCE_S)
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


def _ids(group: Group) -> tuple[int, ...]:
    return tuple(member.id for member in group.members)
