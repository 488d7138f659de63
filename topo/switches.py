"""The two switches that the lab can run, and how each is started: BMv2, and the one that the project embeds."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from topo import configs
from topo.errors import LabError, UsageError
from topo.topology import Switch

Kind = Literal["bmv2", "embedded"]
Compiler = Literal["p4c", "p4compiler"]

BMV2_COMPILER = "p4c-bm2-ss"
BMV2_SWITCH = "simple_switch_grpc"
THRIFT_FIRST_PORT = 9090


@dataclass(frozen=True)
class Choice:
    """Which switch and compiler run, and why."""

    switch: Kind
    compiler: Compiler
    reason: str

    def __str__(self) -> str:
        name = {"bmv2": "BMv2 (simple_switch_grpc)", "embedded": "the embedded switch (p4switch)"}[self.switch]
        return f"Switch: {name}, compiler {self.compiler}: {self.reason}"


def choose(wanted: str, compiler: str | None = None) -> Choice:
    """Decide for ``auto``, ``bmv2`` or ``embedded``. Raises LabError where BMv2 is wanted and missing."""
    missing = [tool for tool in (BMV2_COMPILER, BMV2_SWITCH) if shutil.which(tool) is None]
    lacks = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on the PATH"
    if compiler == "p4c" and BMV2_COMPILER in missing:
        raise LabError(f"--compiler p4c: {BMV2_COMPILER} is not on the PATH; p4compiler needs no installation")
    if wanted == "bmv2":
        needed = [tool for tool in missing if tool == BMV2_SWITCH or compiler != "p4compiler"]
        if needed:
            raise LabError(f"--switch bmv2: {lacks}; the embedded switch needs neither (--switch embedded)")
        return Choice("bmv2", _compiler(compiler, "p4c"), "as asked for")
    if wanted == "embedded":
        return Choice("embedded", _compiler(compiler, "p4compiler"), "as asked for")
    if wanted != "auto":
        raise UsageError(f"unknown switch {wanted!r}: choose auto, bmv2 or embedded")
    if missing:
        return Choice("embedded", _compiler(compiler, "p4compiler"), lacks)
    both = f"{BMV2_COMPILER} and {BMV2_SWITCH} are on the PATH"
    return Choice("bmv2", _compiler(compiler, "p4c"), both)


def _compiler(asked: str | None, usual: Compiler) -> Compiler:
    if asked is None:
        return usual
    if asked == "p4c":
        return "p4c"
    if asked == "p4compiler":
        return "p4compiler"
    raise UsageError(f"unknown compiler {asked!r}: choose p4c or p4compiler")


def command(kind: Kind, switch: Switch, ports: Mapping[int, str]) -> list[str]:
    """simple_switch_grpc's command line, which both switches take."""
    program = [BMV2_SWITCH] if kind == "bmv2" else [sys.executable, "-m", "p4switch"]
    line = [*program, "--no-p4", "--device-id", str(switch.device_id)]
    line += ["--thrift-port", str(THRIFT_FIRST_PORT + switch.device_id - 1)] if kind == "bmv2" else []
    for port, interface in ports.items():
        line += ["-i", f"{port}@{interface}"]
    address = configs.grpc_address(switch.device_id)
    return [*line, "--", "--grpc-server-addr", address, "--cpu-port", str(configs.CPU_PORT)]


def check_port_free(name: str, purpose: str, port: int) -> None:
    """Raises LabError if something on this machine listens on TCP ``port`` already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(
                f"port {port} is in use, and {name} needs it for {purpose}; see who has it: ss -ltnp 'sport = {port}'"
            ) from error


def ports_of(kind: Kind, switch: Switch) -> dict[str, int]:
    """The TCP ports that a switch needs, by purpose."""
    ports = {"P4Runtime": configs.GRPC_FIRST_PORT + switch.device_id - 1}
    if kind == "bmv2":
        ports["Thrift"] = THRIFT_FIRST_PORT + switch.device_id - 1
    return ports
