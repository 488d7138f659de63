"""prometheus and promtool: on the PATH, or as scripts/setup.sh unpacks them."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from topo.paths import ROOT

UNPACKED = ROOT / "build" / "prometheus" / "usr" / "bin"


def tool(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    assert found is not None, f"{name} is missing: scripts/setup.sh --prometheus brings it"
    return found


def free_tcp_port() -> int:
    """One of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def promtool(*words: str | Path, told: str = "") -> str:
    """What it prints; it must find nothing wrong. ``told``: its standard input."""
    done = subprocess.run(
        [tool("promtool"), *map(str, words)], input=told, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
