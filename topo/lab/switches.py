"""The two switches that the lab can run, and how each is started: BMv2, and the one that the project embeds."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from topo.errors import LabError, UsageError
from topo.lab import configs
from topo.topology import Switch

Kind = Literal["bmv2", "embedded"]
Compiler = Literal["p4c", "p4compiler"]

BMV2_COMPILER = "p4c-bm2-ss"
BMV2_SWITCH = "simple_switch_grpc"
THRIFT_FIRST_PORT = 9090
THRIFT_OPTION = "--thrift-port"
HELP_S = 60.0


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
    """simple_switch_grpc's command line, which both switches take. Raises LabError where BMv2 does not even say its
    options."""
    program = [BMV2_SWITCH] if kind == "bmv2" else [sys.executable, "-m", "p4switch"]
    line = [*program, "--no-p4", "--device-id", str(switch.device_id)]
    line += thrift_words(BMV2_SWITCH, THRIFT_FIRST_PORT + switch.device_id - 1) if kind == "bmv2" else []
    for port, interface in ports.items():
        line += ["-i", f"{port}@{interface}"]
    address = configs.grpc_address(switch.device_id)
    return [*line, "--", "--grpc-server-addr", address, "--cpu-port", str(configs.CPU_PORT)]


def thrift_words(program: str, port: int) -> list[str]:
    """The option that has a simple_switch_grpc serve Thrift on ``port``, where it can: all would take 9090. Raises
    LabError as ``has_thrift`` does."""
    return [THRIFT_OPTION, str(port)] if has_thrift(program) else []


def has_thrift(program: str) -> bool:
    """Whether a simple_switch_grpc was built with Thrift: one without does not know the option, and ends at it.
    Raises LabError where the program does not tell its options."""
    return re.search(rf"{THRIFT_OPTION}\b", _options_of(shutil.which(program) or program)) is not None


@cache
def _options_of(program: str) -> str:
    try:
        asked = subprocess.run(
            [program, "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=HELP_S,
            check=False,
        )
    except OSError as error:
        raise LabError(f"{program} --help: cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{program} --help: no answer within {HELP_S:.0f} s; is it a simple_switch_grpc?") from error
    said = asked.stdout + asked.stderr
    if "--device-id" not in said:
        last = " ".join(said.strip().splitlines()[-1:]) or "it says nothing"
        raise LabError(
            f"{program} --help does not tell its options (exit code {asked.returncode}: {last}); is it a "
            "simple_switch_grpc, and does it run here?"
        )
    return said


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
    """The TCP ports that a switch needs, by purpose. Raises LabError as ``command`` does."""
    ports = {"P4Runtime": configs.GRPC_FIRST_PORT + switch.device_id - 1}
    if kind == "bmv2" and has_thrift(BMV2_SWITCH):
        ports["Thrift"] = THRIFT_FIRST_PORT + switch.device_id - 1
    return ports
