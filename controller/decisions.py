"""What a controller knows, and what follows from it. Sans-IO: no clock, task, socket or log.

Sessions to switches, and whoever waits, tell a ``Decisions`` what has happened, with the time; ``take`` gives what is
to be done about it, in order. The asyncio controller and the simulator carry that out, each in its own way.
Times are seconds of any clock that never goes back. Pure functions stand in ``desired``, ``leaders`` and ``members``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TypeAlias

from controller import hints, leaders, members
from controller.desired import (
    Held,
    Leadership,
    View,
    desired_entries,
    installed_leaders,
    installed_limits,
    installed_members,
    knows_host,
    with_paths_kept,
)
from controller.leaders import Heard, Reading, Verdict
from controller.limits import Limits, check_host, checked
from controller.links import PERIOD_S, LinkMonitor, Probe, State
from controller.members import MembersTold
from controller.network import FEATURES, Group, Host, Network
from hosts.raft.patience import Cause

TICK_S = PERIOD_S
"""How often ``tick`` is to be called: links are probed at each."""
WATCH_S = 0.5
"""How often it is asked whether leaders are still heard."""
DOUBT_S = 1.0
"""A switch that tells what its entry already says is read again after so long."""
AUDIT_S = 10.0
"""Each switch is read again so often, in turn: what another client of P4Runtime wrote into one that hears no leader
would otherwise stand there."""
ABSENT_AFTER_S = 0.5
"""A switch that is away for longer is routed around."""
DESERTED_S = 3.0
"""For so long after a host has said that no member is there nobody is sent there to read. While members send there it
says so once a second or so."""
PATIENCE_S = 2.0
"""A switch that was not seen since the controller started is routed around after so long."""


class Standing(Enum):
    """How far the session to a switch has come."""

    AWAY = "away"
    STANDBY = "standby"
    """Connected, but another controller is the primary."""
    PROGRAMMING = "programming"
    READY = "ready"


@dataclass(frozen=True)
class Note:
    """A line for people. ``warning``: something is not as it should be."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Refresh:
    """What switches ought to hold may have changed: every session writes its difference. ``event`` says why, for
    people; it is empty where nothing happened that is worth a line."""

    event: str = ""


@dataclass(frozen=True)
class AskRegisters:
    """Every switch that is ready is asked for the registers of ``slot``; the answers that came in time go to
    ``registers_read`` under the number ``ask``, also if there are none. ``inquiry``: a leader of no higher term than
    the installed one's waits for them."""

    ask: int
    slot: int
    inquiry: bool = False


@dataclass(frozen=True)
class AskPackets:
    """Every switch that is ready is asked how many packets its members have sent; the sum of the answers goes to
    ``packets_read``, also if there are none."""


@dataclass(frozen=True)
class SendProbe:
    """``probe`` leaves ``switch`` by its port."""

    switch: str
    probe: Probe


@dataclass(frozen=True)
class SendFrame:
    """``frame`` leaves ``switch`` by ``port``, as it is."""

    switch: str
    port: int
    frame: bytes


@dataclass(frozen=True)
class WaitForHost:
    """After so many seconds ``host_waited_for`` is called."""

    host: str
    seconds: float


@dataclass(frozen=True)
class Reread:
    """``switch`` may not hold what it is believed to hold: its tables are read again. ``audit``: for no reason but
    that it is its turn."""

    switch: str
    audit: bool = False


@dataclass(frozen=True)
class Changed:
    """A session's standing or a leader is another one: whoever waits for that looks again."""


Output: TypeAlias = (
    Note | Refresh | AskRegisters | AskPackets | SendProbe | SendFrame | WaitForHost | Reread | Changed
)


class _Why(Enum):
    """What registers were asked for."""

    INQUIRY = auto()
    """A switch has heard a leader of a term that is not higher than the installed one's."""
    SILENCE = auto()
    """Is the installed leader still heard?"""
    CUT_OFF = auto()
    """Is the installed leader still heard, whose host answers nothing?"""


@dataclass(frozen=True)
class _Question:
    """Registers that were asked for, and what was installed then: an answer about another leader decides nothing."""

    why: _Why
    group: int
    installed: Leadership
    heard: Heard | None = None
    """INQUIRY: what was heard, and by which switch."""
    switch: str = ""


@dataclass
class _Switch:
    lost_at: float
    """Since when the switch is away, if it is."""
    standing: Standing = Standing.AWAY
    seen: bool = False
    """Whether it was ever ready."""
    absent: bool = False
    """Whether it is routed around."""
    entries: tuple[Held, ...] = field(default=(), repr=False)
    doubted_until: float | None = None


class Decisions:
    """One controller's. ``network`` changes as groups' members do; ``leaders`` is by group id."""

    def __init__(self, network: Network, now: float) -> None:
        self.network = network
        self.monitor = LinkMonitor(network)
        self.features = frozenset(network.features)
        """The features that are on, but for what was said of single switches."""
        self._features_at: dict[str, dict[str, bool]] = {switch.name: {} for switch in network.switches}
        """What was said of single switches, by switch and feature."""
        self.limits = Limits({limit.host: limit.per_second for limit in network.limits})
        """How many requests a second each host's clients may send."""
        self.leaders: dict[int, Leadership] = {group.id: Leadership() for group in network.groups}
        self._switches = {switch.name: _Switch(now) for switch in network.switches}
        self._known: set[int] = set()
        """Groups whose leader this controller has decided on, rather than found in a switch's entries."""
        self._told: dict[int, MembersTold] = {}
        """The last Configuration message of each group that was believed."""
        self._questions: dict[int, _Question] = {}
        self._last_question = 0
        self._standins = leaders.Standins()
        self._deserted: dict[str, float] = {}
        """Until when each host counts as one where no member is, by its own word: it says so again if that stays."""
        self.hints: Counter[tuple[int, Cause]] = Counter()
        """How often a group's members were given a hint, by group id and cause."""
        self._echoes = hints.Echoes(int(now * 1000))
        self._started = now
        self._usable = self.monitor.usable()
        self._watch_at: float | None = now + WATCH_S
        """When leaders are looked after the next time; None while answers are awaited."""
        self._audits = deque(self._switches)
        """Switches, the one whose turn comes next in front."""
        self._audit_at = now + AUDIT_S
        self._outputs: list[Output] = []
        self._judges = {
            _Why.INQUIRY: self._judge_inquiry,
            _Why.SILENCE: self._judge_silence,
            _Why.CUT_OFF: self._judge_cut_off,
        }

    def take(self) -> list[Output]:
        """What is to be done now, in order. Each output is given once."""
        outputs, self._outputs = self._outputs, []
        return outputs

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """What is known now."""
        return View(self._usable, self.leaders, self.features, self.limits.wished, frozenset(self._deserted))

    def features_at(self, switch: str) -> frozenset[str]:
        """The features that are on at a switch."""
        said = self._features_at[switch]
        return frozenset(name for name in FEATURES if said.get(name, name in self.features))

    @property
    def stands_by(self) -> bool:
        """Whether another controller is the primary of every switch that can be reached."""
        return {switch.standing for switch in self._switches.values()} - {Standing.AWAY} == {Standing.STANDBY}

    def desired(self, switch: str, now: float) -> tuple[Held, ...]:
        """What the switch ought to hold. While probes have not spoken, a switch that has routes keeps them, and its
        trees: a controller that has just started must not send over a link that its predecessor knew to be down."""
        view = replace(self.view, features=self.features_at(switch))
        entries = desired_entries(self.network, switch, view)
        held = self._switches[switch].entries
        settling = now - self._started < PATIENCE_S and not self.monitor.settled(self._switches)
        if settling and any(entry.table == "ipv4_lpm" for entry in held):
            return with_paths_kept(self.network, view, entries, held)
        return entries

    # -- what sessions tell -------------------------------------------------------------------------------------

    def standing_changed(self, switch: str, standing: Standing, now: float) -> None:
        """A session's standing is another one. What was missed of its probes says nothing."""
        told = self._switches[switch]
        told.standing = standing
        if standing is Standing.AWAY:
            told.lost_at = now
            told.entries = ()
        elif standing is Standing.READY:
            told.seen = True
            told.absent = False
        elif standing is Standing.STANDBY:
            # Another controller decides now; what this one knows grows old.
            self._known.clear()
            self._told.clear()
            self.limits.forget()
            if self.stands_by:
                self.leaders = {group.id: Leadership() for group in self.network.groups}
        self.monitor.restart(switch)
        self._links_changed(now)
        self._outputs.append(Changed())

    def holds(self, switch: str, entries: tuple[Held, ...]) -> None:
        """A switch holds these entries, as they were read or written."""
        self._switches[switch].entries = entries

    def found(self, switch: str, entries: tuple[Held, ...]) -> None:
        """A switch was read, and nothing is written yet: a controller that has just taken over knows leaders, members
        and limits from what switches hold."""
        self.holds(switch, entries)
        if self.limits.found(switch, installed_limits(self.network, switch, entries)):
            self._refresh(f"limits as found in {switch}")
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
                self._note(f"group {group_id}: {_who(group, installed)}, as found in {switch}")
                self._refresh()

    def leader_heard(self, switch: str, group_id: int, slot: int, heard: Heard, now: float) -> None:
        """A digest: the switch has heard a leader that its entry does not name."""
        group = self._group_of(switch, group_id, slot)
        if group is None:
            return
        current = self.leaders[group_id]
        verdict = leaders.decide(current, _ids(group), heard)
        if verdict is Verdict.IGNORE:
            self._warn(f"{switch}: heard a leader {heard.leader} of group {group_id}, who is no member")
        elif verdict is Verdict.INSTALL:
            self._install(group, heard)
        elif verdict is Verdict.ASK:
            if not any(asked.why is _Why.INQUIRY and asked.group == group_id for asked in self._questions.values()):
                self._ask(_Question(_Why.INQUIRY, group_id, current, heard, switch), group.slot)
        elif self._says(switch, group_id, current):
            # It tells of what it should already hold. Digests that were under way do that for a moment only.
            told = self._switches[switch]
            if told.doubted_until is None:
                told.doubted_until = now + DOUBT_S

    def host_told(self, switch: str, address: str, now: float) -> None:
        """A digest: the host of this address at the switch has said that nobody listens there for Raft's messages.
        For a while nobody is sent there to read; of who leads groups from elsewhere that says nothing."""
        for host in self.network.hosts:
            if (host.switch, host.ip) == (switch, address):
                news = host.name not in self._deserted
                self._deserted[host.name] = now + DESERTED_S
                if news:
                    self._refresh()
        for group, host in self._led_from(switch):
            if host.ip == address and "leader_gone" in self.features_at(switch):
                self._hint(group, Cause.GONE)

    def silence_told(self, switch: str, group_id: int, slot: int, heard: Heard) -> None:
        """A digest: the switch does not hear the group's leader any more, and a member at its edge asks after that
        leader. Its host is asked whether it is there, unless that goes on already."""
        group = self._group_of(switch, group_id, slot)
        if group is None:
            return
        current, member = self.leaders[group_id], group.member(heard.leader)
        if member is None or (heard.leader, heard.term) != (current.leader, current.term):
            return
        host = self.network.host(member.host)
        if host.name not in self._echoes and self._hears_of(host):
            self._ask_host(host)

    def host_waited_for(self, name: str) -> None:
        """A host had its time to answer. Is it silent, then switches are asked whether they hear the leader."""
        host = self.network.host(name)
        if self._ask_host(host):
            return
        if not self._echoes.end(name):
            self._note(f"members miss {name}, whose host answers")
            return
        if not self._hears_of(host):
            return
        for group, at in self._led_from(host.switch):
            if at == host:
                self._ask(_Question(_Why.CUT_OFF, group.id, self.leaders[group.id]), group.slot)

    def echo_answered(self, switch: str, address: str, sequence: int) -> None:
        """A host at the switch answers one of the controller's echo requests."""
        for host in self.network.hosts:
            if (host.switch, host.ip) == (switch, address):
                self._echoes.answered(host.name, sequence)

    def members_told(self, switch: str, told: MembersTold) -> None:
        """A leader says who the committed members are."""
        group = self.network.group(told.group)
        if group is None or not members.is_news(told, self.leaders[told.group], self._told.get(told.group)):
            return
        self._told[told.group] = told
        changed, strangers = members.followed(self.network, group, told.members)
        for address in strangers:
            self._warn(f"group {group.id}: member {address} hangs on no port that this controller knows")
        self._set_members(group, changed, f" since index {told.index}, {switch} told")

    def probe_heard(self, switch: str, port: int, probe: Probe) -> None:
        """A probe came in at a switch's port: the link works in that direction."""
        self.monitor.heard(switch, port, probe)

    def registers_read(self, ask: int, readings: Collection[Reading], now: float) -> None:
        """The answers to an ``AskRegisters``."""
        question = self._questions.pop(ask)
        group = self.network.group(question.group)
        if group is not None and self.leaders[question.group] == question.installed:
            self._judges[question.why](group, question, readings)
        if question.why is _Why.SILENCE:
            self._watch_on(now)

    def packets_read(self, packets: Mapping[tuple[int, int], int], now: float) -> None:
        """The answer to an ``AskPackets``: what each (group, member) has sent to other members so far."""
        for group_id, leadership in self._standins.choose(self.network.groups, self.leaders, packets).items():
            self.leaders[group_id] = leadership
            group = self.network.group(group_id)
            member = group.member(leadership.standin) if group else None
            who = member.host if member else leadership.standin
            self._refresh(f"group {group_id}: no leader; {who} answers for it")
        self._watch_at = now + WATCH_S

    # -- what people and time tell ------------------------------------------------------------------------------

    def set_feature(self, name: str, on: bool, switch: str | None = None) -> None:
        """Take a feature out of one switch or, by default, of all, or put it back. Raises ValueError for an unknown
        feature or switch."""
        if name not in FEATURES:
            raise ValueError(f"no feature is called {name!r}; there are {', '.join(FEATURES)}")
        if switch is not None and switch not in self._features_at:
            raise ValueError(f"no switch is called {switch!r}; there are {', '.join(self._features_at)}")
        if switch is not None:
            self._features_at[switch][name] = on
        else:
            self.features = self.features | {name} if on else self.features - {name}
            for said in self._features_at.values():
                said.pop(name, None)
        self._refresh(f"feature {name} {'on' if on else 'off'}{f' at {switch}' if switch else ''}")

    def set_limit(self, name: str, per_second: int | None) -> None:
        """Let no more than so many requests a second enter at a host's port; None takes the limit away. Raises
        ValueError for an unknown host, one that a member runs on, or a rate that is none."""
        of_members = {member.host for group in self.network.groups for member in group.members}
        check_host(name, (host.name for host in self.network.hosts), of_members, off=per_second is None)
        self.limits.set(name, None if per_second is None else checked(per_second))
        self._refresh(f"limit of {name}: {'off' if per_second is None else f'{per_second}/s'}")

    def tick(self, now: float) -> None:
        """Time has passed: look after links, leaders and doubts."""
        self.monitor.check()
        for told in self._switches.values():
            limit = ABSENT_AFTER_S if told.seen else PATIENCE_S
            if told.standing is Standing.AWAY and now - told.lost_at > limit:
                told.absent = True
        self._links_changed(now)
        ready = [name for name, told in self._switches.items() if told.standing is Standing.READY]
        self._outputs += [SendProbe(switch, probe) for switch, probe in self.monitor.due(ready)]
        for name, told in self._switches.items():
            if told.doubted_until is not None and now >= told.doubted_until:
                told.doubted_until = None
                self._outputs.append(Reread(name))
        if now >= self._audit_at:
            self._audit(now, ready)
        if self._deserted:
            self._look_in_on_deserted(now)
        if self._watch_at is not None and now >= self._watch_at:
            self._watch_leaders(now)

    def _look_in_on_deserted(self, now: float) -> None:
        """Hosts that have said nothing for a while may have members again."""
        over = [name for name, until in self._deserted.items() if now >= until]
        for name in over:
            del self._deserted[name]
        if over:
            self._refresh()

    def _audit(self, now: float, ready: Collection[str]) -> None:
        """Have the next switch that is ready read again."""
        self._audit_at = now + AUDIT_S / len(self._audits)
        for _ in range(len(self._audits)):
            self._audits.rotate(-1)
            if self._audits[-1] in ready:
                self._outputs.append(Reread(self._audits[-1], audit=True))
                return

    def _group_of(self, switch: str, group_id: int, slot: int) -> Group | None:
        """The group that a digest is about. None if that is none of ours, which is told."""
        group = self.network.group(group_id)
        if group is None or group.slot != slot:
            self._warn(f"{switch}: a digest of group {group_id}, slot {slot}, which is none of ours")
            return None
        return group

    # -- leaders ------------------------------------------------------------------------------------------------

    def _ask(self, question: _Question, slot: int) -> None:
        self._last_question += 1
        self._questions[self._last_question] = question
        self._outputs.append(AskRegisters(self._last_question, slot, inquiry=question.why is _Why.INQUIRY))

    def _install(self, group: Group, heard: Heard, why: str = "") -> None:
        before = self.leaders[group.id]
        self.leaders[group.id] = Leadership(heard.leader, heard.term, before.standin)
        self._known.add(group.id)
        self._refresh(f"group {group.id}: {_who(group, self.leaders[group.id])} (was {_who(group, before)}){why}")
        self._outputs.append(Changed())

    def _judge_inquiry(self, group: Group, question: _Question, readings: Collection[Reading]) -> None:
        """Before a lower term is believed, all switches have told whether anyone still hears the old leader."""
        fresh_us = leaders.fresh_within_us(self.network.filter_window_ms)
        found = leaders.judge(question.installed, _ids(group), readings, fresh_us)
        if found is not None:
            self._install(group, found, f"; nobody hears the old one, {question.switch} told")
        elif question.heard is not None and question.heard.term == question.installed.term and readings:
            heard, held = question.heard, _who(group, question.installed)
            self._warn(
                f"group {group.id}: {question.switch} heard {heard.leader} lead term {heard.term}; kept {held}"
            )

    def _judge_silence(self, group: Group, question: _Question, readings: Collection[Reading]) -> None:
        """A leader that nobody hears is taken out of the switches."""
        installed = question.installed
        if leaders.is_silent(readings, leaders.silent_after_us(self.network.filter_window_ms)):
            self.leaders[group.id] = Leadership(0, installed.term, installed.standin)
            self._refresh(f"group {group.id}: nobody hears {_who(group, installed)}; taken out")

    def _judge_cut_off(self, group: Group, _question: _Question, readings: Collection[Reading]) -> None:
        """The leader's host has answered nothing. Where a switch hears a leader all the same, no hint is due."""
        if leaders.is_silent(readings, leaders.missed_after_us(self.network.filter_window_ms)):
            self._hint(group, Cause.CUT_OFF)

    def _watch_leaders(self, now: float) -> None:
        """Ask whether leaders are still heard. Groups without one need a stand-in for their service address."""
        self._watch_at = None
        for group in self.network.groups:
            if self.leaders[group.id].leader:
                self._ask(_Question(_Why.SILENCE, group.id, self.leaders[group.id]), group.slot)
        self._watch_on(now)

    def _watch_on(self, now: float) -> None:
        """Go on with that once all have answered."""
        if any(question.why is _Why.SILENCE for question in self._questions.values()):
            return
        if any(not held.leader for held in self.leaders.values()):
            self._outputs.append(AskPackets())
        else:
            self._standins.forget()
            self._watch_at = now + WATCH_S

    def _says(self, switch: str, group_id: int, leadership: Leadership) -> bool:
        """Whether the switch's entry names this leader."""
        held = installed_leaders(self._switches[switch].entries).get(group_id)
        return held is not None and (held.leader, held.term) == (leadership.leader, leadership.term)

    # -- the end of a leader ------------------------------------------------------------------------------------

    def _led_from(self, switch: str) -> list[tuple[Group, Host]]:
        """The groups that are led from a host at the switch, as far as is known, and that host."""
        found = []
        for group in self.network.groups:
            member = group.member(self.leaders[group.id].leader)
            if member is not None and self.network.host(member.host).switch == switch:
                found.append((group, self.network.host(member.host)))
        return found

    def _hears_of(self, host: Host) -> bool:
        """Whether an answer of the host would reach this controller."""
        at = self._switches[host.switch]
        return at.standing is Standing.READY and knows_host(at.entries, host)

    def _ask_host(self, host: Host) -> bool:
        """Ask a host whether it is there, unless it has been asked often enough. True if it is."""
        sequence = self._echoes.next(host.name)
        if sequence is None:
            return False
        request = hints.echo_request(self.network, host, sequence)
        self._outputs += [SendFrame(host.switch, host.port, request), WaitForHost(host.name, hints.ECHO_S)]
        return True

    def _hint(self, group: Group, cause: Cause) -> None:
        """Tell every other member that the group's leader may have ended."""
        led = self.leaders[group.id]
        told = []
        for member in group.members:
            host = self.network.host(member.host)
            if member.id != led.leader and self._switches[host.switch].standing is Standing.READY:
                frame = hints.hint(self.network, group, member, led.term, cause)
                self._outputs.append(SendFrame(host.switch, host.port, frame))
                told.append(host.name)
        self.hints[group.id, cause] += 1
        self._note(f"group {group.id}: {_who(group, led)}: {_WHY[cause]}; hinted to {', '.join(told) or 'nobody'}")

    # -- members and links --------------------------------------------------------------------------------------

    def _set_members(self, before: Group, after: Group, why: str = "") -> None:
        if after == before:
            return
        groups = tuple(after if group.id == after.id else group for group in self.network.groups)
        self.network = replace(self.network, groups=groups)
        names = ", ".join(member.host if member.votes else f"{member.host} (learner)" for member in after.members)
        self._refresh(f"group {after.id}: members {names}{why}")

    def _links_changed(self, now: float) -> None:
        """Have routes written anew if what can be used is not what was used."""
        absent = {name for name, told in self._switches.items() if told.absent}
        usable = frozenset(link for link in self.monitor.usable() if link.a not in absent and link.b not in absent)
        if usable == self._usable:
            if now - self._started < 2 * PATIENCE_S:
                # Routes may have been held back until links were known.
                self._refresh()
            return
        for link in self.network.links:
            if (link in usable) != (link in self._usable):
                why = "" if self.monitor.state(link) is State.DOWN or link in usable else " (a switch is away)"
                self._note(f"link {link} {'up' if link in usable else 'down'}{why}")
        self._usable = usable
        self._refresh("routes")

    # -- telling ------------------------------------------------------------------------------------------------

    def _note(self, text: str) -> None:
        self._outputs.append(Note(text))

    def _warn(self, text: str) -> None:
        self._outputs.append(Note(text, warning=True))

    def _refresh(self, event: str = "") -> None:
        self._outputs.append(Refresh(event))


_WHY = {
    Cause.GONE: "its host says that nobody is there",
    Cause.CUT_OFF: "its host answers nothing, and no switch hears it",
}


def _ids(group: Group) -> tuple[int, ...]:
    return tuple(member.id for member in group.members)


def _who(group: Group, leadership: Leadership) -> str:
    member = group.member(leadership.leader)
    if member is not None:
        return f"leader {member.host}, term {leadership.term}"
    return f"no leader, term {leadership.term}" if leadership.term else "no leader"
