"""The devices under the bench, between two veth pairs in a network namespace that this process makes for itself.

The namespace has no name: it ends with the process and everything in it, so nothing is left behind.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.switch.runtime import Runtime
from bench.switch.workload import REPOSITORY, Compiled
from topo.errors import LabError
from topo.lab.process import printed
from topo.lab.switches import BMV2_SWITCH, thrift_words

CLONE_NEWNET = 0x40000000
SIDE_A, SIDE_B = "srb-a", "srb-b"
"""The traffic's ends."""
NEAR_A, NEAR_B = "srb-p1", "srb-p2"
"""The device's ends: ports 1 and 2."""
READY_S = 60.0


class BenchError(Exception):
    """The bench cannot run; the text says what to do."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL)


def own_namespace() -> None:
    """Move this process to a network namespace of its own, which ends with it. Raises BenchError."""
    if os.geteuid() != 0:
        raise BenchError("the bench makes network interfaces, which needs root: start it with sudo")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise BenchError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    ip("link", "set", "lo", "up")


def enter_namespace(mtu: int = 1500) -> None:
    """A namespace of its own with the two veth pairs, whose packets may have ``mtu`` bytes. Raises BenchError."""
    if shutil.which("ethtool") is None:
        raise BenchError("no ethtool, which turns the interfaces' offloads off: apt install ethtool")
    own_namespace()
    for near, far in ((NEAR_A, SIDE_A), (NEAR_B, SIDE_B)):
        ip("link", "add", near, "type", "veth", "peer", "name", far)
        for name in (near, far):
            quiet = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
            if quiet.exists():
                quiet.write_text("1")
            off = ["rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off"]
            subprocess.run(["ethtool", "-K", name, *off], capture_output=True)
            # Else the generator's trains would be left to the device.
            subprocess.run(["ethtool", "-K", name, "tx-udp-segmentation", "off"], capture_output=True)
            ip("link", "set", name, "mtu", str(mtu), "up")


def niceness_of(group: Path) -> str | None:
    """What the kernel says of a session's group; None without such groups (the file may then exist and be empty)."""
    try:
        words = group.read_text(encoding="ascii").split()
    except OSError:
        return None
    return words[-1] if words else None


@contextmanager
def first_in_line() -> Iterator[None]:
    """Let this process and its children run before others, so that what else the machine does disturbs less.

    Niceness alone acts only within a session where the kernel groups processes by session (sched_autogroup).
    """
    group = Path("/proc/self/autogroup")
    before = niceness_of(group)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    with suppress(OSError):
        if before is not None:
            group.write_text("-20", encoding="ascii")
    try:
        yield
    finally:
        with suppress(OSError):
            if before is not None:
                group.write_text(before, encoding="ascii")


def build_tool(name: str, folder: Path) -> Path:
    """Compile bench/NAME.c. Raises BenchError."""
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler) is None:
        raise BenchError(f"no C compiler: {compiler} is not on the PATH (install gcc, or set CC)")
    target = folder / name
    source = Path(__file__).parent / f"{name}.c"
    subprocess.run([compiler, "-O2", "-pthread", "-o", str(target), str(source)], check=True)
    return target


@dataclass
class Running:
    """A device that forwards. `pid`: of its process, None for the kernel's bridge."""

    pid: int | None = None
    runtime: Runtime | None = None

    def memory_mb(self) -> float | None:
        """Resident memory now."""
        if self.pid is None:
            return None
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return None

    def cpu_seconds(self) -> float | None:
        """The processor time of all threads that it has, until now."""
        if self.pid is None:
            return None
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


@contextmanager
def bridge() -> Iterator[Running]:
    ip("link", "add", "srb-br", "type", "bridge", "stp_state", "0")
    try:
        for port in (NEAR_A, NEAR_B):
            ip("link", "set", port, "master", "srb-br")
        ip("link", "set", "srb-br", "up")
        time.sleep(0.2)
        yield Running()
    finally:
        ip("link", "del", "srb-br")


@contextmanager
def forwarder(tool: Path) -> Iterator[Running]:
    with process_of([str(tool), NEAR_A, NEAR_B], Path(os.devnull)) as process:
        time.sleep(0.2)
        yield Running(process.pid)


@contextmanager
def switch(kind: str, compiled: Compiled, folder: Path, cache: Path | None = None) -> Iterator[Running]:
    """`kind`: embedded or bmv2. The process is up and a controller connected; nothing is pushed yet. Raises
    BenchError, with what the process printed, if it does not come up."""
    port = _free_port()
    flags = ["--no-p4", "-i", f"1@{NEAR_A}", "-i", f"2@{NEAR_B}", "--device-id", "1"]
    target = ["--", "--grpc-server-addr", f"127.0.0.1:{port}", "--cpu-port", "510"]
    if kind == "embedded":
        command = [sys.executable, "-m", "p4switch", *flags, *target]
    else:
        try:
            command = [BMV2_SWITCH, *flags, *thrift_words(BMV2_SWITCH, _free_port()), *target]
        except LabError as error:
            raise BenchError(str(error)) from error
    environment = dict(os.environ)
    if cache is not None:
        environment["P4SWITCH_CACHE"] = str(cache)
    log = folder / f"{kind}.log"
    start = log.stat().st_size if log.exists() else 0
    with process_of(command, log, environment) as process:
        _await_port(process, port, f"the {kind} switch", log, start)
        runtime = Runtime(f"127.0.0.1:{port}", compiled.p4info)
        try:
            yield Running(process.pid, runtime)
        finally:
            runtime.close()


def _await_port(process: subprocess.Popen[bytes], port: int, name: str, log: Path, start: int) -> None:
    """Until a process listens on TCP ``port``. Raises BenchError with what it printed if it ends before."""
    deadline = time.monotonic() + READY_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise BenchError(f"{name} ended (code {process.returncode}) as it started; {printed(log, start)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{name} has not opened its port within {READY_S:.0f} s; {printed(log, start)}")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process_of(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=REPOSITORY, env=environment
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
