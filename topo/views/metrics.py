"""`switchraft metrics`: what was asked for is checked, and served or printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from hosts.files.fields import parse_port
from topo import paths
from topo.errors import LabError, UsageError
from topo.lab.running_lab import Live

INSTALL = "metrics need the package prometheus-client: install it with: pip install -e '.[metrics]', or: make setup"


def write(folder: Path, listen: str) -> None:
    """Write the files that go with the metrics. Raises UsageError, FileError."""
    from topo.metrics import files

    host, port = _address(listen)
    for path in files.write(folder, f"{host}:{port}"):
        print(paths.shown(path))


def run(listen: str, sockets: Sequence[Path], timeout_s: float, once: bool) -> None:
    """Serve until Ctrl-C, or print once. Raises UsageError, LabError."""
    host, port = _address(listen)
    for path in sockets:
        if not path.absolute().parent.is_dir():
            raise UsageError(f"--node {path}: there is no such folder; a node's control.sock is in its data folder")
    try:
        from topo.metrics import exporter, gather
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        raise LabError(INSTALL) from None
    if not sockets:
        Live.find()
    gatherer: gather.Gatherer = gather.Nodes(sockets) if sockets else gather.Lab()
    if once:
        _print(*asyncio.run(exporter.text(gatherer, timeout_s)), named=bool(sockets))
    else:
        asyncio.run(exporter.serve(gatherer, host, port, timeout_s))


def _print(text: str, failures: Sequence[str], named: bool) -> None:
    """Raises LabError where nodes that were named do not answer; in a lab some may be down."""
    sys.stdout.write(text)
    sys.stdout.flush()
    if named and failures:
        raise LabError("; ".join(failures))
    for line in failures:
        print(line, file=sys.stderr)


def _address(listen: str) -> tuple[str, int]:
    """Port 0 is one that nobody uses."""
    host, _, port = listen.rpartition(":")
    if not host:
        raise UsageError(f"--listen {listen}: that is no address with a port, as 127.0.0.1:9464 is")
    try:
        return host.strip("[]"), 0 if port == "0" else parse_port(port)
    except ValueError as error:
        raise UsageError(f"--listen {listen}: {error}") from None
