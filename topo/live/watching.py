"""One lab, from its start to its end: its parts are asked again and again, and what has changed is told.

What it costs is bounded by how often it asks (``Pace``) and by the share of packets that the lab gives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.program import Program as Tables
from controller.program import ProgramError as TablesError
from controller.readers import Reader
from controller.reads import ReadError
from controller.tasks import within
from p4switch.errors import PipelineError
from p4switch.program_json import parse_program
from topo import paths
from topo.errors import LabError
from topo.lab.configs import grpc_address
from topo.lab.running_lab import Live
from topo.live.asking import GONE, Asker, lines
from topo.live.decisions import Decisions
from topo.live.faults import SeenFaults, by_hand, found
from topo.live.members import SeenMember
from topo.live.messages import Messages, Timed
from topo.live.opened import Opener
from topo.live.switches import SeenSwitch, from_hosts
from topo.live.timeline import HOLD_NS, Timeline
from topo.topology import Topology
from web import network, program

CLOCK_BEFORE_NS = 10_000_000_000
"""The clocks of switches' shadows begin so long before anything is recorded: no window of the program is longer."""
FRAMES_PER_S = 400
"""Packets at ports that are looked at: all of three members that have little to do."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks."""

    members: float = 0.1
    most_members: float = 50
    """Looks at members a second, of all of them; with more members each is looked at less often."""
    racing_members: float = 0.5
    racing: float = 1.0
    """Looks at members, and at a log, that grows faster than it is told: they have better things to do then."""
    controller: float = 1.0
    switches: float = 5.0
    settling: float = 1.0
    """Looks at controller and switches, which are looked at at once when something was decided; this long after that
    once more."""
    counters: float = 2.0
    racing_rest: float = 2.0
    """While a log grows so fast, so many times as long between two looks at the controller and at counters."""
    log: float = 0.1
    lab: float = 0.5


class Watched:
    """One lab, from its start to its end."""

    def __init__(self, timeline: Timeline, live: Live, pace: Pace) -> None:
        """Raises LabError where the lab's files cannot be read."""
        self._timeline = timeline
        self._live = live
        self._pace = pace
        topology = self._topology = live.topology
        pipeline = live.network["pipeline"]
        try:
            self._tables = Tables(pipeline["json"], pipeline["p4info"])
            parsed = parse_program(pipeline["json"])
        except (TablesError, PipelineError, OSError) as error:
            raise LabError(str(error)) from error
        self._program = program.describe(parsed, ())
        registers = list(parsed.registers)
        self._messages = Messages(topology, timeline.messages_from)
        self._faults = SeenFaults(timeline.faults_from)
        slots = {group.id: group.slot for group in topology.groups}
        self._switches = {one.name: SeenSwitch(one.name, registers, slots) for one in topology.switches}
        self._readers = {
            one.name: Reader(grpc_address(one.device_id), one.device_id, self._tables) for one in topology.switches
        }
        self._nodes: dict[str, Asker] = {}
        self._members: dict[tuple[str, int], SeenMember] = {}
        self._controller = Asker(paths.controller_socket())
        self._known: Json = {}
        """What the controller has said of itself last."""
        self._told_controller: Json = {}
        self._state: Json | None = None
        self._ended = asyncio.Event()
        self._look_at_switches = asyncio.Event()
        self._look_at_controller = asyncio.Event()
        self._sampled_from: tuple[int, int] | None = None
        self._opener: Opener | None = None

    def _header(self) -> Json:
        spares = {name for name, _ in self._members if name not in self._topology.members}
        record, topology = self._live.record, self._topology
        kind = {"embedded": "embedded switches", "bmv2": "BMv2"}.get(record.switch, record.switch)
        return {
            "title": f"The lab: {topology.name}, {len(topology.members)} members, {len(topology.switches)} {kind}",
            "source": "lab",
            "network": network.describe(topology, also=spares),
            "program": self._program,
        }

    async def run(self) -> None:
        """Until the lab ends."""
        self._timeline.begin(self._live, self._header())
        self._timeline.opener = self._opener = self._make_opener()
        jobs: list[Callable[[], Awaitable[None]]] = [
            self._watch,
            self._frames,
            self._follow_log,
            self._ask_members,
            self._ask_controller,
            self._read_switches,
            self._count,
            self._flush,
        ]
        tasks = [asyncio.ensure_future(job()) for job in jobs]
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            done, _ = await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (ending, *tasks):
                task.cancel()
            await asyncio.gather(ending, *tasks, return_exceptions=True)
        self._tell_end()

    def _tell_end(self) -> None:
        events = [event for one in self._members.values() for event in one.gone()]
        events += [event for one in self._switches.values() for event in one.runs(False)]
        events += self._controller_says({})
        events += self._faults.now(set())
        events.append({"k": "note", "who": "lab", "text": "the lab has ended"})
        self._timeline.tell(events)
        self._timeline.messages_from, self._timeline.faults_from = self._messages.next, self._faults.next

    def _make_opener(self) -> Opener:
        program, began_ns = Path(self._live.network["pipeline"]["json"]), self._timeline.began_ns
        return Opener(self._topology, program, self._switches, began_ns, began_ns - CLOCK_BEFORE_NS)

    async def close(self) -> None:
        """Hang up everywhere."""
        if self._opener is not None:
            await self._opener.close()
        for asker in (*self._nodes.values(), self._controller):
            asker.close()
        for reader in self._readers.values():
            await reader.close()

    # -- the lab's own socket ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """What the lab says of itself. Returns, and ``run`` with it, when it says nothing more."""
        try:
            async for line in lines(paths.lab_socket(), {"cmd": "watch"}):
                if line.get("ok") is False:
                    raise LabError(str(line.get("error")))
                self._lab_says(line)
        except GONE:
            self._ended.set()

    def _lab_says(self, line: Json) -> None:
        state = self._state or {}
        before, pids = state.get("processes", {}), state.get("pids", {})
        if any(state.get(name) != line[name] for name in ("processes", "pids", "cut", "parted")):
            self._look_at_switches.set()
        self._state = line
        events: list[Json] = [{"k": "note", "who": "by hand", "text": text} for _, text in line["did"]]
        for name, condition in line["processes"].items():
            runs = condition in ("running", "paused")
            anew = name in pids and runs and pids[name] != line["pids"][name]
            if name in self._switches:
                events += self._switches[name].restarted() if anew else self._switches[name].runs(runs)
            elif name in self._topology.nodes:
                events += self._node_is(name, "killed") if anew else []
                events += self._node_is(name, condition)
            elif name == "controller" and not runs and before.get(name) != condition:
                events += self._controller_says({})
        self._timeline.tell([*events, *self._faults_now()], line["at"])

    def _node_is(self, name: str, condition: str) -> list[Json]:
        if condition in ("running", "paused") and name not in self._nodes:
            self._meet(name)
        own = [one for (host, _), one in self._members.items() if host == name]
        if condition == "paused":
            return [event for one in own for event in one.paused(True)]
        if condition != "running":
            return [event for one in own for event in one.gone()]
        return []

    def _meet(self, name: str) -> None:
        self._nodes[name] = Asker(paths.nodes() / name / "control.sock")
        for group in self._topology.clusters[self._topology.cluster_of(name)]:
            if name in group.members.values() or name not in self._topology.members:
                self._members[name, group.id] = SeenMember(name, group.id, int(self._pace.racing * 1e6))
        self._timeline.redraw(self._header())

    def _faults_now(self) -> list[Json]:
        if self._state is None:
            return []
        members = [one.status for one in self._members.values() if one.status]
        known = found(self._topology, self._state, self._known, members)
        return self._faults.now(by_hand(self._topology, self._state) | known)

    async def _frames(self) -> None:
        """Packets at ports. Without them everything else is told all the same."""
        self._messages.blurred(time.time_ns() + HOLD_NS)
        try:
            async for line in lines(paths.lab_socket(), {"cmd": "frames", "most": FRAMES_PER_S}):
                if line.get("ok") is False:
                    self._timeline.tell([{"k": "note", "who": "lab", "text": f"no packets: {line.get('error')}"}])
                    await asyncio.Event().wait()
                now_ns = time.time_ns()
                if line["blurred"]:
                    self._messages.blurred(now_ns)
                self._timeline.tell_timed(map(self._heard_by, self._messages.take(line["frames"])))
                self._timeline.tell_timed(self._messages.look_back(now_ns - HOLD_NS))
        except GONE:
            self._ended.set()

    def _heard_by(self, timed: Timed) -> Timed:
        """Nobody receives what comes to a host whose node has ended."""
        at_ns, event = timed
        processes = (self._state or {}).get("processes", {})
        if event["k"] == "received" and processes.get(event["who"]) in ("killed", "died"):
            return at_ns, {"k": "dropped", "who": event["who"], "m": event["m"], "why": "its process is down"}
        return timed

    # -- members ----------------------------------------------------------------------------------------------------

    async def _ask_members(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.gather(*(self._ask_member(name) for name in list(self._nodes)))
            pace = self._pace.racing_members if self._races else self._pace.members
            least = max(pace, len(self._nodes) / self._pace.most_members)
            await asyncio.sleep(max(0.01, least - (time.monotonic() - began)))

    @property
    def _races(self) -> bool:
        """Whether there is so much load that the lab has no time to spare for who looks at it."""
        return any(one.races for one in self._members.values())

    def _rest(self, seconds: float) -> float:
        return seconds * (self._pace.racing_rest if self._races else 1)

    async def _ask_member(self, name: str) -> None:
        if not self._runs(name):
            self._nodes[name].close()
            return
        try:
            (answer,) = await self._nodes[name].ask({"cmd": "status"})
            for status in answer.get("groups", ()):
                member = self._members.get((name, status["group"]))
                if member is not None:
                    self._timeline.tell(member.seen(status, self._timeline.now_us))
                    await self._ask_log(name, member)
        except GONE:
            return

    async def _ask_log(self, name: str, member: SeenMember) -> None:
        questions = member.log_questions()
        try:
            request = next(questions)
            while True:
                request = questions.send(await self._nodes[name].ask(request))
        except StopIteration as told:
            self._timeline.tell(told.value)

    # -- controller and switches ------------------------------------------------------------------------------------

    async def _follow_log(self) -> None:
        log = Decisions(paths.logs() / "controller.log")
        while True:
            told = log.take(time.time_ns())
            self._timeline.tell_timed(
                (at, {"k": "controller", "who": "controller", "text": text}) for at, text in told
            )
            if told:
                self._look_at_switches.set()
                self._look_at_controller.set()
            await asyncio.sleep(self._pace.log)

    async def _ask_controller(self) -> None:
        while True:
            try:
                (self._known,) = await self._controller.ask({"cmd": "status"})
                events = self._controller_says(self._known)
                (read,) = await self._controller.ask({"cmd": "registers"})
                events += self._registers(read.get("switches", {}))
            except GONE:
                events = self._controller_says({})
            self._timeline.tell([*events, *self._faults_now()])
            await _either(self._look_at_controller, self._rest(self._pace.controller))

    def _registers(self, read: Json) -> list[Json]:
        now_ns = time.time_ns()
        return [
            event
            for name, groups in read.items()
            for group, reading in groups.items()
            for event in self._switches[name].heard(int(group), reading, now_ns)
        ]

    def _controller_says(self, status: Json) -> list[Json]:
        self._known = status
        now = _known(self._topology, status)
        changed = {name: value for name, value in now.items() if self._told_controller.get(name) != value}
        self._told_controller = now
        return [{"k": "controller", "who": "controller", "set": changed}] if changed else []

    async def _read_switches(self) -> None:
        asked = False
        while True:
            for name, reader in self._readers.items():
                if not self._runs(name):
                    await reader.close()
                    continue
                try:
                    held = await reader.read()
                except ReadError:
                    continue
                events = self._switches[name].holds((*held.entries, *held.groups), time.time_ns())
                self._timeline.tell(events)
                asked = asked or bool(events)
            await asyncio.sleep(self._pace.log)
            asked = await _either(self._look_at_switches, self._pace.settling if asked else self._pace.switches)

    def _runs(self, name: str) -> bool:
        return self._state is not None and self._state["processes"].get(name) == "running"

    async def _count(self) -> None:
        topology = self._topology
        ports = {one.name: sorted(topology.ports(one.name)) for one in topology.switches}
        slots = sorted(group.slot for group in topology.groups)
        edges = {name: [host.port for host in topology.hosts if host.switch == name] for name in ports}
        while True:
            await asyncio.sleep(self._rest(self._pace.counters))
            events: list[Json] = []
            for name, reader in self._readers.items():
                if not self._runs(name):
                    continue
                try:
                    by_port = dict.fromkeys(("port_rx", "port_tx", "over_limits"), ports[name])
                    events += self._switches[name].count(await reader.count({**by_port, "redirects": slots}))
                except ReadError:
                    continue
            sent = sum(from_hosts(one.counters, edges[name]) for name, one in self._switches.items())
            now = self._messages.next, sent
            if self._sampled_from is not None:
                told, of = (new - old for new, old in zip(now, self._sampled_from, strict=True))
                if of >= 0:
                    events.append({"k": "sampled", "told": told, "of": max(told, of)})
            self._sampled_from = now
            self._timeline.tell(events)

    async def _flush(self) -> None:
        while True:
            self._timeline.flush()
            await asyncio.sleep(self._pace.log)


def _known(topology: Topology, status: Json) -> Json:
    """What a controller knows, by the names of recordings; nothing where there is none."""
    groups = status.get("groups", ())
    return {
        "leaders": {
            str(one["group"]): {
                "leader": one["leader"],
                "term": one["term"],
                "standin": 0 if one["leader"] else topology.node_id(one["answers"]),
            }
            for one in groups
        },
        "links": sorted(f"{one['a']}-{one['b']}" for one in status.get("links", ()) if one["up"]),
        "features": sorted(name for name, at in status.get("features", {}).items() if all(at.values())),
        "standing": {name: one["standing"] for name, one in status.get("switches", {}).items()},
    }


async def _either(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so long at most; whether it has happened."""
    try:
        await within(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    event.clear()
    return True
