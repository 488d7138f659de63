"""`switchraft demo`: what the project does, told on real packets as it happens, and every claim of it checked."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hosts.raft.message import MessageType
from hosts.wire import WireError
from topo import paths
from topo.errors import LabError
from topo.lab import namespace
from topo.lab.lab import Lab
from topo.lab.options import Options
from topo.lab.running_lab import Live
from topo.lab.supervisor import Asked, running
from topo.views import ping, status
from topo.views.capture import Capture
from topo.views.client_requests import Route, append, ask, how

CLIENT = "h11"
PATIENCE_S = 20.0
"""For what takes well under a second on an idle machine."""
REFUSAL_S = 3.0
"""How long the client tries while no majority lives."""

Result = TypeVar("Result")


class Untrue(LabError):
    """Something that the demo tells did not happen."""


class Demo:
    """The story, on a triangle: members h1, h2 and h3, a client on h11, a switch in front of each."""

    def __init__(self, switch: str, compiler: str | None) -> None:
        self._options = Options("triangle", switch, compiler)
        self._began = time.monotonic()
        self._colour = sys.stdout.isatty()
        self._sent: list[Any] = []

    def run(self) -> bool:
        """Tell it. False, with the reason printed, if something did not happen."""
        try:
            self._chapter("The lab: three P4 switches in a triangle, a Raft node behind each, a client on h11")
            with running(self._options, self._say) as lab:
                self._tell(lab)
                self._chapter("The end: taking the lab down")
        except (LabError, OSError, ValueError) as error:
            known = paths.fault(error) if isinstance(error, OSError) else None
            self._line("\N{BALLOT X}", known or str(error), "31")
            return False
        except (KeyboardInterrupt, Asked):
            self._line("\N{BALLOT X}", "interrupted", "31")
            return False
        self._line("\N{CHECK MARK}", f"all of it happened, in {time.monotonic() - self._began:.0f} s", "1;32")
        return True

    def _tell(self, lab: Lab) -> None:
        live = Live.find()
        self._pings(live)
        leader = self._leader(live)
        self._values(live, leader)
        leader = self._leader_dies(lab, live, leader)
        self._no_majority(lab, live, leader)
        self._back_again(lab, live)

    def _pings(self, live: Live) -> None:
        pings = ping.all_pairs(live)
        if pings.received < len(pings.answers):
            lost = [f"{a}->{b}" for (a, b), ok in pings.answers.items() if not ok]
            raise Untrue(f"pings were lost: {', '.join(lost)}")
        total = len(pings.answers)
        self._true(f"pingall: every host reaches every other, 0 % dropped ({pings.received}/{total})")

    def _leader(self, live: Live, *, other_than: str | None = None) -> str:
        """Wait for a leader to whom every switch steers."""

        def settled() -> tuple[str, int] | None:
            group = status.leaders(live)[0]
            leader = group["leader"]
            routes = [entry["leader"] for entry in group["switches"].values()]
            if leader in (None, other_than) or len(routes) < len(live.topology.switches):
                return None
            return (leader, group["term"]) if set(routes) == {leader} else None

        leader, term = self._wait("leader to whom all switches steer", settled)
        switches = ", ".join(switch.name for switch in live.topology.switches)
        self._true(f"{leader} leads in term {term}: heard by a switch in its packets, and now known to {switches}")
        return leader

    def _values(self, live: Live, leader: str) -> None:
        self._chapter("A value to each member and to the service address: switches bring them all to the leader")
        with self._watching(live) as requests:
            for target in (*live.topology.members, "service"):
                self._send(live, f"hello {target}", target)
        self._committed_everywhere(live)
        asked = [name for name, count in requests.items() if count and name != leader]
        if asked or not requests[leader]:
            raise Untrue(f"client requests arrived at {asked or 'nobody'}, and should at {leader} alone")
        others = " and ".join(name for name in live.topology.members if name != leader)
        self._true(f"captured meanwhile: {requests[leader]} client requests reached {leader}, 0 reached {others}")

    def _leader_dies(self, lab: Lab, live: Live, leader: str) -> str:
        self._chapter(f"The leader dies: kill -9 of {leader}")
        lab.node("kill", leader)
        killed = time.monotonic()
        successor = self._leader(live, other_than=leader)
        self._true(f"the route has moved on all switches {time.monotonic() - killed:.1f} s after the kill")
        self._send(live, f"after the death of {leader}", "service")
        lab.node("start", leader)
        self._true(f"{leader} runs again, with the log that it has on its disk")
        self._committed_everywhere(live)
        return successor

    def _no_majority(self, lab: Lab, live: Live, leader: str) -> None:
        follower = next(name for name in live.topology.members if name != leader)
        self._chapter(f"Two of three die: {leader} and {follower}. One alone must not commit anything")
        lab.node("kill", leader)
        lab.node("kill", follower)
        survivor = next(name for name in live.topology.members if name not in (leader, follower))
        before = self._commit_index(live, survivor)
        try:
            answer = self._ask(live, "never", "service", REFUSAL_S)
        except LabError as error:
            self._true(f"the client is told: {error}")
        else:
            raise Untrue(f"one node of three committed a value: {answer}")
        if self._commit_index(live, survivor) != before:
            raise Untrue(f"{survivor} alone has moved its commit index")
        self._true(f"{survivor}'s commit index stays at {before}")

    def _back_again(self, lab: Lab, live: Live) -> None:
        self._chapter("Both start again")
        for name in live.topology.members:
            if lab.children[name].process is None:
                lab.node("start", name)
        self._leader(live)
        self._send(live, "everything is still there", "service")
        self._committed_everywhere(live)

    # --- doing and checking ---------------------------------------------------------------------------------------

    def _send(self, live: Live, value: str, target: str) -> None:
        answer = self._ask(live, value, target, PATIENCE_S)
        self._sent.append(value)
        self._true(f"{CLIENT} sends {value!r} to {target}: {answer}")

    def _ask(self, live: Live, value: str, target: str, seconds: float) -> str:
        def call() -> str:
            return how(*ask(Route(CLIENT, target, None, seconds), append(value)))

        return namespace.on_host(live.holder(CLIENT), call)

    def _commit_index(self, live: Live, node: str) -> int:
        return int(live.ask_node(node, {"cmd": "status"})["groups"][0]["commit"])

    def _committed_everywhere(self, live: Live) -> None:
        """Every member has applied every value sent, in the same order. A value whose client gave up may follow."""
        from topo.views.log import values_of

        def equal() -> list[Any] | None:
            lists = [values_of(live, name) for name in live.topology.members]
            if any(values != lists[0] for values in lists):
                return None
            return lists[0] if [value for value in lists[0] if value in self._sent] == self._sent else None

        values = self._wait("equal lists on all nodes, with every value once", equal)
        self._true(f"{', '.join(live.topology.members)} have applied the same {len(values)} values")

    @contextmanager
    def _watching(self, live: Live) -> Iterator[dict[str, int]]:
        """Count client requests that switches hand to each member, at the switches' ports."""
        counts = dict.fromkeys(live.topology.members, 0)
        captures = {name: Capture(live.topology.host(name).switch_interface) for name in counts}
        try:
            yield counts
            for name, capture in captures.items():
                for packet in capture.packets(0):
                    try:
                        header = packet.raft(live.topology.port) if packet.outgoing else None
                    except WireError:
                        continue
                    counts[name] += header is not None and header.type == MessageType.CLIENT_REQUEST
        finally:
            for capture in captures.values():
                capture.close()

    def _wait(self, what: str, look: Callable[[], Result | None]) -> Result:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                found = look()
            except LabError:
                found = None
            if found is not None:
                return found
            time.sleep(0.05)
        raise Untrue(f"no {what} within {PATIENCE_S:.0f} s; see switchraft's logs in build/lab/logs")

    # --- telling --------------------------------------------------------------------------------------------------

    def _chapter(self, text: str) -> None:
        print(f"\n{self._painted(text, '1')}", flush=True)

    def _true(self, text: str) -> None:
        self._line("\N{CHECK MARK}", text, "32")

    def _say(self, text: str) -> None:
        self._line("\N{MIDDLE DOT}", text, "2")

    def _line(self, mark: str, text: str, colour: str) -> None:
        clock = f"{time.monotonic() - self._began:6.1f} s"
        print(f"{clock}  {self._painted(mark, colour)} {text}", flush=True)

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text
