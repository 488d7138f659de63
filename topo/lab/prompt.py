"""Mininet's prompt with the lab's commands in it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mininet.cli import CLI
from mininet.log import setLogLevel
from mininet.node import Node

from p4switch.modules import run_module
from topo.lab.lab import Lab

BANNER = """
The lab is up. Some things to try (`help` lists Mininet's own commands, `raft --help` the lab's):
  raft status                  who leads, what has committed
  raft send hello              a value from a client to the service address
  raft log h3                  what h3 has applied
  raft node kill h1            and `raft node start h1`
  h11 switchraft send 42 --to h2
  exit
"""


IPERF_PORT = 5001
IPERF_SECONDS = 5
PATIENCE_S = 10.0
"""For a program of a host's to listen."""


class Prompt(CLI):  # type: ignore[misc]
    """``mininet> raft status`` is ``switchraft status``."""

    def __init__(self, lab: Lab) -> None:
        if sys.stdin.isatty():
            print(BANNER, flush=True)
        setLogLevel("output")  # what Mininet's commands print, without its own progress
        super().__init__(lab.net)

    def do_raft(self, line: str) -> None:
        """Run one of the lab's commands: raft status, raft send 42, raft --help"""
        try:
            words = shlex.split(line)
        except ValueError as error:
            print(f"*** {error}")
            return
        # Ctrl-C reaches the command, as it shares the terminal; the prompt goes on.
        try:
            subprocess.run([*run_module("topo.cli"), *(words or ["--help"])], check=False)
        except KeyboardInterrupt:
            print()

    def onecmd(self, line: str) -> bool:
        """Whether the prompt is at its end. A command that fails does not end the lab."""
        try:
            return bool(super().onecmd(line))
        except Exception as error:
            print(f"*** {line}: {type(error).__name__}: {error}")
            return False

    def do_dpctl(self, _line: str) -> None:
        """OpenFlow's switches have it; here it is raft tables, raft counters and raft trace."""
        print("*** dpctl is for OpenFlow's switches. For these: raft tables s1, raft counters, raft trace s1")

    def do_iperf(self, line: str) -> None:
        """TCP's rate for five seconds between two hosts, of which the second one listens: iperf h11 h1"""
        hosts = {host.name: host for host in self.mn.hosts}
        ends = line.split() or [min(hosts), max(hosts)]
        if len(ends) != 2 or not set(ends) <= set(hosts):
            print(f"*** iperf takes two of {', '.join(hosts)}, as in: iperf h11 h1")
        elif shutil.which("iperf") is None:
            print("*** iperf is not installed here: apt-get install iperf")
        else:
            _measure(*(hosts[name] for name in ends))

    def do_xterm(self, line: str, term: str = "xterm") -> None:
        """Open terminals on hosts, where there is a display: xterm h1 h2"""
        if not os.environ.get("DISPLAY"):
            print("*** no display here; use the prompt instead, as in: h1 switchraft node run 0 &")
            return
        super().do_xterm(line, term)


def _measure(client: Node, server: Node) -> None:
    """Print TCP's rate as iperf sees it. (Mininet's own way waits for lines that newer versions do not print.)"""
    if _listens(server, IPERF_PORT):
        print(f"*** another program listens at port {IPERF_PORT} of {server.name}")
        return
    port = ["-p", str(IPERF_PORT)]
    running = [server.popen(["iperf", "-s", *port], stdout=subprocess.DEVNULL)]
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _listens(server, IPERF_PORT):
            if running[0].poll() is not None or time.monotonic() > deadline:
                print(f"*** iperf does not listen at {server.name}")
                return
            time.sleep(0.02)
        words = ["iperf", "-c", server.IP(), *port, "-t", str(IPERF_SECONDS)]
        running.append(client.popen(words, stdout=None, stderr=None))
        running[1].wait(IPERF_SECONDS + PATIENCE_S)
    except subprocess.TimeoutExpired:
        print(f"*** {client.name} does not reach {server.name}")
    except KeyboardInterrupt:
        print()
    finally:
        for process in running:
            process.kill()
            process.wait()


def _listens(host: Node, port: int) -> bool:
    """Whether a program of a host's listens at a TCP port."""
    lines = Path(f"/proc/{host.pid}/net/tcp").read_text().splitlines()[1:]
    return any(words[1].endswith(f":{port:04X}") and words[3] == "0A" for words in map(str.split, lines))
