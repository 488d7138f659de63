"""Whom faults befall: what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from hosts.raft.core import Role
from sim.node import Node, Process
from sim.scene import Scene

Undo = Callable[[], None]
Begin = Callable[[Random], Undo | None]
"""Begins a fault of a kind; returns what ends it, None if there is nothing to end."""


class Targets:
    """The members' machines, to choose among."""

    def __init__(self, scene: Scene, nodes: Mapping[int, Node]) -> None:
        self._scene = scene
        self._nodes = nodes

    def note(self, text: str) -> None:
        """Say in the trace what befalls them."""
        self._scene.note("faults", text)

    def one(self, random: Random) -> Node:
        """Often a leader: there it hurts."""
        nodes = list(self._nodes.values())
        leaders = [
            node
            for node in nodes
            if node.process and any(group.core.role is Role.LEADER for group in node.process.groups.values())
        ]
        return random.choice(leaders if leaders and random.random() < 0.5 else nodes)

    def leader_of(self, number: int) -> Process | None:
        """The process that leads the group in its highest term."""
        leading = [
            (node.process.groups[number].core.current_term, node.member, node.process)
            for node in self._nodes.values()
            if node.process is not None
            and number in node.process.groups
            and node.process.groups[number].core.role is Role.LEADER
        ]
        return max(leading, key=lambda one: one[:2])[2] if leading else None

    def some_group(self, random: Random, least: int) -> int:
        """A group that was born with so many members at least: the first one was."""
        return random.choice([n for n, watch in self._scene.watches.items() if len(watch.members) >= least])

    def silence(self, nodes: list[Node]) -> Undo:
        """Pause these."""
        paused = [node.process for node in nodes if node.process is not None]
        for process in paused:
            process.pause()

        def resume() -> None:
            for process in paused:
                process.resume()

        return resume

    def again_and_again(self, every_us: int, look: Callable[[], None]) -> Undo:
        """Have something looked at again and again, at once at first, until the fault ends."""
        going = True

        def again() -> None:
            if going:
                look()
                self._scene.events.after(every_us, again)

        def end() -> None:
            nonlocal going
            going = False

        again()
        return end
