"""What shows, without its record, that something is of the lab in this checkout.

Its owner holds the lock file; its other processes have the lab's token and the path of its cluster file in their
environments; its interfaces in the root namespace have an alias that names its folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from topo import paths
from topo.lab import interface_alias
from topo.lab.process import TOKEN_VARIABLE, Process, end, with_token
from topo.lab.record import index_of, remove_interfaces


def owners() -> set[Process]:
    """The processes that own a lab in this folder: one, or none."""
    named = {mark.owner for _, mark in _marked() if not mark.dead}
    return {process for process in named | set(_lock_holders()) if process.alive and process.pid != os.getpid()}


def remove() -> list[str]:
    """End and remove what is recognisably the lab's, its owner too. Returns what could not be."""
    processes = owners()
    for token in _tokens():
        processes.update(with_token(token))
    problems = [f"process {process.pid} does not end" for process in end(processes)]
    return problems + remove_interfaces({name: index_of(name) for name, _ in _marked()})


def _marked() -> Iterator[tuple[str, interface_alias.Mark]]:
    """The interfaces that a lab in this folder has made, with their marks."""
    shown = subprocess.run(["ip", "-json", "link", "show"], capture_output=True, text=True, check=False)
    try:
        names = [str(link["ifname"]) for link in json.loads(shown.stdout) if "ifalias" in link]
    except (ValueError, LookupError):
        names = []
    for name in names:
        mark = interface_alias.of(name)
        if mark is None or mark.pids != interface_alias.pid_namespace():
            continue
        # Of an owner that is gone nobody can say which mounts it saw.
        if _is_this_folder(mark.folder, mark.owner.pid if mark.owner.alive else os.getpid()):
            yield name, mark


def _lock_holders() -> Iterator[Process]:
    try:
        lock = paths.lock().stat()
    except OSError:
        return
    for pid in _pids():
        for descriptor in _listed(Path(f"/proc/{pid}/fd")):
            try:
                held = os.path.samestat(descriptor.stat(), lock)
                if held and "FLOCK" in Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text():
                    process = Process.of(pid)
                    if process is not None:
                        yield process
            except OSError:
                continue


def _tokens() -> set[str]:
    """The tokens of labs that this folder has, by the environments of their processes."""
    found = set()
    for pid in _pids():
        try:
            lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        environment = dict(line.decode(errors="replace").partition("=")[::2] for line in lines)
        cluster = Path(environment.get("SWITCHRAFT_CLUSTER", ""))
        if TOKEN_VARIABLE in environment and cluster.is_absolute() and _is_this_folder(cluster.parent, pid):
            found.add(environment[TOKEN_VARIABLE])
    return found


def _is_this_folder(folder: Path, pid: int) -> bool:
    """Whether ``folder``, as a process sees it, which may have other mounts, is the lab's of this checkout."""
    try:
        return os.path.samefile(f"/proc/{pid}/root{folder}", paths.lab())
    except OSError:
        return False


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
