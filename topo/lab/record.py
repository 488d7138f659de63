"""What the lab made, written down as it is made, so that `switchraft stop` ends exactly that, even after a crash."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hosts.files.checked_file import Document, FileFault
from hosts.storage.atomic_file import replace_text
from topo import paths
from topo.errors import LabError
from topo.lab.process import Process, end, with_token
from topo.topology import Topology, read


@dataclass(frozen=True)
class Running:
    """A process of the lab: a switch, a node or the controller. ``state``: running, paused or dead."""

    name: str
    kind: str
    pid: int
    started: int
    state: str
    log: str

    @property
    def alive(self) -> bool:
        return Process(self.pid, self.started).alive


@dataclass(frozen=True)
class Record:
    """The lab's record. ``token`` marks its processes' environments; ``boot`` is this boot's id."""

    token: str
    boot: str
    lab: Process
    topology: str
    switch: str
    state: str = "starting"
    interfaces: dict[str, int] = field(default_factory=dict)
    """Interfaces in the root namespace: name to interface index; 0 while it is about to be made."""
    hosts: dict[str, Process] = field(default_factory=dict)
    """Host name to the process that holds its namespace."""
    processes: tuple[Running, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether the process that owns the lab runs."""
        return self.boot == boot_id() and self.lab.alive

    def read_topology(self) -> Topology:
        return read(paths.lab() / "topology.yaml", self.topology)

    def write(self) -> None:
        """Replace the record on disk, durably. Raises OSError."""
        paths.make(paths.lab())
        data: dict[str, Any] = asdict(self)
        replace_text(paths.record(), json.dumps(data, indent=2) + "\n")
        paths.give(paths.record())

    def with_state(self, state: str) -> Record:
        return replace(self, state=state)


class DamagedRecord(LabError):
    """A record that does not say what was made. ``damage``: a clause on what is wrong with it."""

    def __init__(self, damage: str) -> None:
        super().__init__(
            f"the record of the lab is damaged: {damage}: end what is left of the lab, and remove the record, with:"
            " switchraft stop"
        )
        self.damage = damage


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def load(folder: Path | None = None) -> Record | None:
    """The record in a lab's ``folder`` (None: this checkout's); None where no lab was started, or the last one ended
    as it should."""
    path = paths.record(folder)
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabError(paths.fault(error) or f"{paths.shown(path)}: {error.strerror}") from error
    try:
        return _adapter().validate_json(text)
    except ValidationError:
        raise DamagedRecord(_damage(text, paths.shown(path))) from None


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def _damage(text: str, name: str) -> str:
    """What is wrong with the text of a record, in a clause."""
    if not text.strip(" \n\0"):
        return f"{name}: the file is empty"
    try:
        Document.of_json(text, name).check(Record)
    except FileFault as fault:
        return str(fault)
    return f"{name}: a field is not what it should be"


def remove_leftovers(record: Record, folder: Path | None = None) -> list[str]:
    """End what ``record`` names: processes, interfaces (namespaces go with their last process), sockets, the record
    itself, which lies in ``folder`` (None: this checkout's). For the lab's own end and for what a crash left. Returns
    what could not be ended."""
    problems = []
    if record.boot == boot_id():
        recorded = [Process(running.pid, running.started) for running in record.processes]
        processes = {*recorded, *record.hosts.values(), *with_token(record.token)}
        if record.lab.pid != os.getpid():
            processes.add(record.lab)
        problems += [f"process {process.pid} does not end" for process in end(processes)]
        problems += remove_interfaces(record.interfaces)
    if not problems:
        forget(folder)
    return problems


def forget(folder: Path | None = None) -> None:
    """Remove a lab's sockets and its record."""
    for path in (paths.lab_socket(folder), paths.controller_socket(folder), paths.record(folder)):
        path.unlink(missing_ok=True)
    paths.give_all(folder or paths.build())


def remove_interfaces(interfaces: dict[str, int]) -> list[str]:
    """Delete those of the root namespace's ``interfaces`` that are still the same. Returns what stayed."""
    for name, index in interfaces.items():
        now = index_of(name)
        if now and now == (index or now):
            subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
    return [
        f"interface {name} cannot be removed" for name, index in interfaces.items() if index_of(name) == index != 0
    ]


def index_of(interface: str) -> int:
    """The index of an interface of this namespace; 0 if there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
