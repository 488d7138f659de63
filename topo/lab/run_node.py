"""Running one node in the foreground: in a lab host's namespace, or on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hosts.config import Cluster, ConfigError, load
from topo import paths
from topo.errors import LabError, UsageError
from topo.lab.process import TOKEN_VARIABLE


def run(config: Path | None, index: int | None, member: int | None) -> None:
    """Run the node that ``member`` (an id) or ``index`` (a place in the file, from 0) names; without either, the one
    whose address this host has. Raises LabError."""
    if index is not None and member is not None:
        raise UsageError("INDEX and --id both say which member: give one of them")
    config, cluster = _loaded(config)
    if member is None:
        member = _at(cluster.member_ids, index) if index is not None else _of_this_host(cluster)
    else:
        _check_id(cluster, member)
    from hosts import node

    if TOKEN_VARIABLE in os.environ and _writes_where_nobody_reads():
        _log_to_file(cluster.name_of(member))
    sys.exit(node.run(config, member))


def readdress(config: Path | None, member: int | None) -> None:
    """Tell the stopped nodes that have data here, or ``member``'s, the cluster file's addresses, and say what
    changed. Raises LabError."""
    config, cluster = _loaded(config)
    if member is not None:
        _check_id(cluster, member)
    from hosts.storage.errors import explain
    from hosts.storage.readdress import CannotReaddress
    from hosts.storage.readdress import readdress as tell

    try:
        changes = tell(cluster, cluster.node_ids if member is None else [member])
    except CannotReaddress as error:
        raise LabError(str(error)) from error
    except OSError as error:
        raise LabError(
            f"{explain(error, cluster.data)}; then run this again: some nodes may not be told yet"
        ) from error
    for change in changes:
        lines = change.lines or ("nothing to change",)
        print("\n".join(f"{cluster.name_of(change.member)}, group {change.group}: {line}" for line in lines))
    told = {change.member for change in changes}
    for absent in [] if member is not None else [one for one in cluster.member_ids if one not in told]:
        print(f"{cluster.name_of(absent)} has no data in {cluster.folder_of(absent)}: run this where it has, too")
    if any(change.moved for change in changes):
        print("start the nodes; the first leader has the group commit the new addresses")


def _loaded(config: Path | None) -> tuple[Path, Cluster]:
    if config is None:
        raise UsageError("which cluster? Give --config cluster.yaml, or set SWITCHRAFT_CLUSTER")
    try:
        return config, load(config)
    except ConfigError as error:
        raise LabError(str(error)) from error


def _check_id(cluster: Cluster, member: int) -> None:
    if member not in cluster.node_ids:
        raise UsageError(f"no member has id {member}: the ids are {', '.join(map(str, cluster.node_ids))}")


def _writes_where_nobody_reads() -> bool:
    """Whether this is a background job on a terminal, as at Mininet's prompt: that one is read only while a command
    runs there, and a full terminal would stop the node."""
    try:
        return os.isatty(2) and os.tcgetpgrp(2) != os.getpgrp()
    except OSError:
        return True


def _log_to_file(name: str) -> None:
    path = paths.logs() / f"{name}.log"
    print(f"{name} writes its log to {paths.shown(path)}", flush=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    paths.give(path)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _at(ids: list[int], index: int) -> int:
    if not 0 <= index < len(ids):
        raise UsageError(f"no member has index {index}: they go from 0 to {len(ids) - 1}")
    return ids[index]


def _of_this_host(cluster: Cluster) -> int:
    shown = subprocess.run(["ip", "-o", "-4", "addr", "show"], capture_output=True, text=True, check=False).stdout
    own = {line.split()[3].partition("/")[0] for line in shown.splitlines()}
    found = [member for member in cluster.node_ids if cluster.address_of(member)[0] in own]
    if len(found) != 1:
        addresses = ", ".join(f"{member}: {cluster.address_of(member)[0]}" for member in cluster.node_ids)
        raise UsageError(f"which member? This host's addresses do not tell; give --id ({addresses})")
    return found[0]
