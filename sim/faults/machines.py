"""Faults of members' machines: they lose power, stand still, and their disks fail, fill up or are slow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random

from sim.events import MS
from sim.faults.targets import Begin, Targets, Undo
from sim.node import Node
from sim.plan import Kind


class Machines:
    """``kinds``: how each begins."""

    def __init__(self, nodes: Mapping[int, Node], targets: Targets) -> None:
        self._nodes = nodes
        self._targets = targets
        self.kinds: dict[Kind, Begin] = {
            Kind.POWER_LOSS: self._power_loss,
            Kind.KILL: self._kill,
            Kind.PAUSE: self._pause,
            Kind.DISK_ERROR: self._disk_error,
            Kind.FULL_DISK: self._full_disk,
            Kind.SLOW_DISK: self._slow_disk,
        }

    def _crash(self, random: Random, *, power: bool) -> Undo:
        nodes = list(self._nodes.values())
        chosen = nodes if random.random() < 0.1 else [self._targets.one(random)]
        while_writing = random.random() < 0.6

        def strike(node: Node) -> None:
            node.crash(power=power, random=random)

        for node in chosen:
            if while_writing and node.process is not None and not node.process.writing:
                node.doom = partial(strike, node)
            else:
                strike(node)

        def restart() -> None:
            for node in chosen:
                node.doom = None
                node.start()

        return restart

    def _power_loss(self, random: Random) -> Undo:
        return self._crash(random, power=True)

    def _kill(self, random: Random) -> Undo:
        return self._crash(random, power=False)

    def _pause(self, random: Random) -> Undo | None:
        process = self._targets.one(random).process
        if process is None:
            return None
        self._targets.note(f"{process.node.host} is paused")
        process.pause()
        return process.resume

    def _disk_error(self, random: Random) -> Undo:
        node = self._targets.one(random)
        self._targets.note(f"{node.host}'s disk fails")
        for disk in node.disks.values():
            disk.broken = True

        def repair() -> None:
            for disk in node.disks.values():
                disk.broken = False
            node.start()

        return repair

    def _full_disk(self, random: Random) -> Undo:
        """No room any more, or a little. What segments have taken already is theirs."""
        node = self._targets.one(random)
        left = random.choice((0, 300, 3_000))
        self._targets.note(f"{node.host}'s disk has {left} bytes left")
        for disk in node.disks.values():
            disk.capacity = disk.used + left

        def make_room() -> None:
            for disk in node.disks.values():
                disk.capacity = None
            node.start()

        return make_room

    def _slow_disk(self, random: Random) -> Undo:
        node = self._targets.one(random)
        before, node.disk_us = node.disk_us, random.choice((5, 30, 200, 1000)) * MS
        self._targets.note(f"{node.host}'s disk takes {node.disk_us // MS} ms")

        def recover() -> None:
            node.disk_us = before

        return recover
