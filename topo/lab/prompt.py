"""Mininet's prompt with the lab's commands in it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from mininet.cli import CLI
from mininet.log import setLogLevel

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

    def do_xterm(self, line: str, term: str = "xterm") -> None:
        """Open terminals on hosts, where there is a display: xterm h1 h2"""
        if not os.environ.get("DISPLAY"):
            print("*** no display here; use the prompt instead, as in: h1 switchraft node run 0 &")
            return
        super().do_xterm(line, term)
