"""Whose a switch's interface is, written on the interface itself: its alias.

The record of a lab lies in its checkout. What a crashed lab of another checkout left in the root namespace would be
in every later lab's way; its interfaces say where that record is, and whose life would make it count.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from topo.lab.process import Process

WORD = "switchraft"
LONGEST = 255
"""Characters that an alias can have (IFALIASZ in linux/if.h)."""


@dataclass(frozen=True)
class Mark:
    """The lab's owner and the folder of its record. ``pids``: the pid namespace in which the owner's pid is meant."""

    owner: Process
    pids: str
    folder: Path

    @property
    def dead(self) -> bool:
        """Whether the lab's owner is known to be gone; never of a lab in another container."""
        return self.pids == pid_namespace() and not self.owner.alive


def pid_namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def put(interface: str, owner: Process, folder: Path) -> None:
    """Write the owner on an interface. A path too long for it is cut: the record will not be found then."""
    text = f"{WORD} {pid_namespace()} {owner.pid} {owner.started} {folder}".encode()[:LONGEST]
    subprocess.run(["ip", "link", "set", "dev", interface, "alias", text], capture_output=True, check=False)


def of(interface: str) -> Mark | None:
    """The mark of an interface of this namespace; None where there is none, or no such interface."""
    shown = subprocess.run(
        ["ip", "-json", "link", "show", "dev", interface], capture_output=True, text=True, check=False
    )
    try:
        alias = json.loads(shown.stdout)[0].get("ifalias", "")
        word, pids, pid, started, folder = alias.split(" ", 4)
        return Mark(Process(int(pid), int(started)), pids, Path(folder)) if word == WORD else None
    except (ValueError, LookupError):
        return None
