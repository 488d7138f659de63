"""How fast the lab recovers: what is broken, and how long it takes until it works again, against a limit.

Each case leaves the lab whole. A pause is the longest time between two values that a client on h22, which asks the
service address 20 times a second, got acknowledged.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from bench.plot import Series
from hosts.client.blocking import Client, ClientError
from hosts.raft.message import HardState, MessageType
from hosts.scapy_layer import Raft
from hosts.storage.log import DiskLog
from topo import paths
from topo.errors import LabError
from topo.lab.namespace import on_host
from topo.lab.options import Options
from topo.lab.running_lab import Live
from topo.lab.supervisor import running
from topo.views import status
from topo.views.capture import Capture

RATE_PER_S = 20
PATIENCE_S = 60.0
HIGH_TERM = 57
FOREIGN = (0xBAD).to_bytes(8, "big") + bytes(8)
"""A peer payload's beginning that hosts of this cluster refuse; switches do not look at it."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Figure:
    """A duration and what it may be."""

    name: str
    seconds: float
    limit: float


def until(what: str, look: Callable[[], Result | None]) -> Result:
    """Look every 5 ms until there is something true. Raises LabError when it takes for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            found = look()
        except LabError:
            found = None
        if found:
            return found
        time.sleep(0.005)
    raise LabError(f"no {what} within {PATIENCE_S:.0f} s")


class Lab:
    """The running lab with what the cases need of it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.topology = live.topology
        self.members = live.topology.members

    def change(self, command: str, **fields: Any) -> None:
        self.live.change({"cmd": command, **fields})

    def node(self, action: str, *names: str) -> None:
        jobs = [
            threading.Thread(target=self.change, args=("node",), kwargs={"action": action, "name": name})
            for name in names
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()

    def leads(self, *, not_: str | None = None, below: int | None = None) -> tuple[str, int] | None:
        """Who leads in which term, once every switch steers there."""
        group = status.leaders(self.live)[0]
        steered = {entry["leader"] for entry in group["switches"].values()}
        if group["leader"] in (None, not_) or steered != {group["leader"]}:
            return None
        if below is not None and group["term"] >= below:
            return None
        return str(group["leader"]), int(group["term"])

    def leader(self, **but: Any) -> tuple[str, int]:
        return until("leader to whom all switches steer", lambda: self.leads(**but))

    def role(self, name: str) -> str:
        (group,) = self.live.ask_node(name, {"cmd": "status"})["groups"]
        return str(group["role"])

    def switches(self) -> dict[str, Any]:
        told: dict[str, Any] = self.live.ask_controller({"cmd": "status"})["switches"]
        return told

    def whole(self) -> None:
        """Wait until everything is as it was in the beginning."""
        self.change("heal")
        self.leader()
        links = lambda: all(link["up"] for link in self.live.ask_controller({"cmd": "status"})["links"])  # noqa: E731
        until("mended links", links)

    @contextmanager
    def stream(self, host: str = "h22") -> Iterator[list[float]]:
        """Values go on while the block runs; yields when each was acknowledged."""
        acknowledged: list[float] = []
        done = threading.Event()
        server = str(self.topology.groups[0].service), self.topology.port

        def send() -> None:
            with Client([server], bind=str(self.topology.host(host).ip), timeout_s=PATIENCE_S) as client:
                while not done.wait(1 / RATE_PER_S):
                    client.append("on it goes")
                    acknowledged.append(time.monotonic())

        thread = threading.Thread(target=on_host, args=(self.live.holder(host), send))
        thread.start()
        try:
            until("first value", lambda: len(acknowledged) > 5)
            yield acknowledged
            more = len(acknowledged) + 10
            until("more values", lambda: len(acknowledged) >= more)
        finally:
            done.set()
            thread.join()


def pause(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


def switch_returns(lab: Lab) -> list[Figure]:
    """From its P4Runtime port's opening until it is fully programmed."""
    name, number = lab.topology.switches[0].name, 0
    before = lab.switches()[name]["times_programmed"]
    host, _, port = lab.live.network["switches"][number]["grpc"].partition(":")
    with lab.stream() as times:
        lab.change("switch", action="kill", name=name)
        starting = threading.Thread(target=lab.change, args=("switch",), kwargs={"action": "start", "name": name})
        starting.start()
        until("open port", lambda: _opens(host, int(port)))
        opened = time.time()

        def programmed() -> float | None:
            told = lab.switches()[name]
            return told["programmed_at"] if told["programmed"] and told["times_programmed"] > before else None

        took = until("programmed switch", programmed) - opened
        starting.join()
    return [
        Figure(f"{name} back: programmed", max(0.0, took), 1.0),
        Figure(f"{name} killed, back: pause", pause(times), 10.0),
    ]


def _opens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def controller_returns(lab: Lab) -> list[Figure]:
    with lab.stream() as times:
        lab.change("controller", action="kill")
        time.sleep(0.5)
        lab.change("controller", action="start")
    return [Figure("controller killed, back: pause", pause(times), 1.0)]


def link_cut(lab: Lab) -> list[Figure]:
    """Found by the controller's own probes; traffic between its ends goes round by the third switch."""
    a, b = (switch.name for switch in lab.topology.switches[:2])
    far = str(next(host for host in lab.topology.hosts if host.switch == b).ip)
    near = next(host.name for host in lab.topology.hosts if host.switch == a)
    echoed: list[float] = []
    done = threading.Event()

    def ping() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.settimeout(0.02)
            while not done.is_set():
                raw.sendto(b"\x08\x00\xe5\xca\x12\x34\x00\x01", (far, 0))
                try:
                    if raw.recv(100)[20] == 0:
                        echoed.append(time.monotonic())
                        time.sleep(0.01)
                except TimeoutError:
                    continue

    pinging = threading.Thread(target=on_host, args=(lab.live.holder(near), ping))
    pinging.start()
    try:
        until("echo", lambda: len(echoed) > 5)
        lab.change("link", a=a, b=b, up=False)
        cut = time.monotonic()
        until("echo by the other way", lambda: echoed[-1] > cut + 0.1)
        round_ = next(at for at in echoed if at > cut + 0.02)
    finally:
        done.set()
        pinging.join()
    return [Figure(f"link {a}-{b} cut: traffic goes round", round_ - cut, 2.0)]


def wiped(lab: Lab) -> list[Figure]:
    """All data gone while the switches remember a high term."""
    lab.node("kill", *lab.members)
    for name in lab.members:
        log = DiskLog.open(paths.nodes() / name / "group-1")
        log.append(HardState(HIGH_TERM), [])
        log.close()
    lab.node("start", *lab.members)
    lab.leader()
    lab.node("kill", *lab.members)
    for name in lab.members:
        shutil.rmtree(paths.nodes() / name)
    began = time.monotonic()
    lab.node("start", *lab.members)
    lab.leader(below=HIGH_TERM)
    return [Figure("data wiped: leader, switches steer to it", time.monotonic() - began, 5.0)]


def one_way(lab: Lab, *, deaf: bool) -> list[Figure]:
    """The leader hears nobody, or nobody hears it."""
    leader, _ = lab.leader()
    switch = lab.topology.host(leader).switch
    client = next(name for name in lab.topology.clients if lab.topology.host(name).switch != switch)
    others = [(str(lab.topology.host(name).ip), lab.topology.port) for name in lab.members if name != leader]
    a, b = (switch, leader) if deaf else (leader, switch)
    lab.change("link", a=a, b=b, up=False, one_way=True)
    cut = time.monotonic()
    until("end of the old leader's reign", lambda: lab.role(leader) != "leader")
    stopped = time.monotonic() - cut

    def commit() -> float:
        with Client(others, bind=str(lab.topology.host(client).ip), timeout_s=PATIENCE_S, steer=False) as asking:
            asking.append("by another")
            return time.monotonic() - cut

    try:
        committed = on_host(lab.live.holder(client), commit)
    except ClientError as error:
        raise LabError(str(error)) from error
    name = "leader hears nobody" if deaf else "nobody hears the leader"
    return [Figure(f"{name}: it stops", stopped, 0.6), Figure(f"{name}: another commits", committed, 5.0)]


def forged_term(lab: Lab) -> list[Figure]:
    """The leader's silence at a follower after another follower's forged AppendEntries of term + 1000; without it
    its heartbeats come every 50 ms, and the filter's window is 100 ms."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    leader, term = lab.leader()
    forger, victim = (lab.topology.host(name) for name in lab.members if name != leader)
    numbers = {name: lab.topology.member_id(name) for name in (forger.name, victim.name)}
    port = lab.topology.port
    packet = bytes(
        Ether(src=forger.mac, dst=forger.gateway_mac)
        / IP(src=str(forger.ip), dst=str(victim.ip))
        / UDP(sport=port, dport=port)
        / Raft(  # type: ignore[operator]  # Scapy's types do not know its layers
            type=int(MessageType.APPEND_ENTRIES),
            source=numbers[forger.name],
            target=numbers[victim.name],
            term=term + 1000,
        )
        / FOREIGN
    )

    def forge() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((forger.interface, 0))
            raw.send(packet)

    beats = []
    later = threading.Timer(0.5, on_host, args=(lab.live.holder(forger.name), forge))
    with Capture(victim.switch_interface) as capture:
        later.start()
        for seen in capture.packets(1.5):
            header = seen.raft(port) if seen.outgoing else None
            if header is not None and (header.type, header.term) == (MessageType.APPEND_ENTRIES, term):
                beats.append(seen.time)
    later.join()
    if lab.leader() != (leader, term):
        raise LabError(f"a forged term has unseated {leader}, who led in term {term}")
    return [Figure("forged term: leader unheard at a follower", pause(beats), 0.2)]


CASES: tuple[Callable[[Lab], list[Figure]], ...] = (
    forged_term,
    switch_returns,
    controller_returns,
    link_cut,
    lambda lab: one_way(lab, deaf=True),
    lambda lab: one_way(lab, deaf=False),
    wiped,
)


def run(options: Options, rounds: int) -> list[list[Figure]]:
    """Bring up a lab and go through all cases, ``rounds`` times. Raises LabError."""
    progress = Console(stderr=True)
    found = []
    with running(options, progress.print):
        lab = Lab(Live.find())
        for _ in range(rounds):
            figures: list[Figure] = []
            for case in CASES:
                lab.whole()
                figures += case(lab)
                progress.print(f"{figures[-1].name}: {figures[-1].seconds:.3f} s", highlight=False)
            found.append(figures)
    return found


def summary(runs: list[list[Figure]]) -> list[tuple[Figure, list[float]]]:
    """Each figure with its median, and all that were measured."""
    rows = []
    for same in zip(*runs, strict=True):
        seconds = [figure.seconds for figure in same]
        rows.append((replace(same[0], seconds=statistics.median(seconds)), seconds))
    return rows


def series(rows: list[tuple[Figure, list[float]]]) -> Iterator[Series]:
    """A bar for each figure."""
    for figure, seconds in rows:
        yield Series("seconds until all works again", figure.name, "switchraft", tuple(seconds))


def table(rows: list[tuple[Figure, list[float]]], title: str) -> Table:
    shown = Table("what", "seconds", "at most", title=title)
    for figure, seconds in rows:
        mark = "" if figure.seconds <= figure.limit else " missed"
        cell = f"{figure.seconds:.3f} ({min(seconds):.3f} - {max(seconds):.3f})"
        shown.add_row(figure.name, cell, f"{figure.limit:g}{mark}")
    return shown
