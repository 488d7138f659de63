"""Running a command in a host's namespace."""

from __future__ import annotations

import os

from topo import paths
from topo.errors import LabError
from topo.lab import namespace
from topo.lab.process import TOKEN_VARIABLE
from topo.lab.running_lab import Live
from topo.root import check_root


def execute(host: str, command: list[str]) -> None:
    """Become ``command`` on ``host``. Does not return. Raises LabError where it cannot be run."""
    check_root("a host's namespace")
    live = Live.find()
    words = command[1:] if command[:1] == ["--"] else command
    holder = live.holder(host)
    environment = dict(os.environ)
    environment[TOKEN_VARIABLE] = live.record.token
    environment["SWITCHRAFT_CLUSTER"] = str(paths.cluster(live.topology.cluster_of(host)))
    namespace.enter(holder)
    try:
        os.execvpe(words[0], words, environment)
    except OSError as error:
        raise LabError(f"cannot run {words[0]}: {error.strerror}") from error
