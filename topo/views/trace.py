"""Traces: a packet's way through a program in process, or through a switch of the running lab."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from topo.errors import LabError, UsageError

if TYPE_CHECKING:
    from p4switch.trace.events import Filter, Term


def offline(words: Sequence[str]) -> int:
    """Do what ``python -m p4switch.trace`` does with these words; returns its exit code."""
    from p4switch.trace import command as trace

    return trace.main(words, "switchraft trace")


def live(switch: str, wanted: str, count: int) -> None:
    """Print packets of a lab's switch as they come, `count` of them (0: until interrupted). LabError, UsageError."""
    from p4switch.p4runtime.watching import WatchError, follow
    from topo.lab.configs import grpc_address
    from topo.lab.running_lab import Live

    running = Live.find()
    device = running.topology.switch(switch).device_id
    frames = choose(wanted, running.topology.port)
    with closing(follow(grpc_address(device), frames)) as texts:
        try:
            for text in _told(texts, switch, count):
                print(text, flush=True)
        except WatchError as error:
            raise LabError(f"{switch}: {error}") from None


def _told(texts: Iterator[str], switch: str, count: int) -> Iterator[str]:
    packets = (text for text in texts if text)
    for text in islice(packets, count or None):
        yield f"{switch} {text}\n"


def choose(wanted: str, raft_port: int) -> Filter:
    """The frames that a filter's text names. UsageError."""
    if wanted == "all":
        return []
    kind, _, value = wanted.partition("=")
    try:
        if kind == "raft" and not value:
            return _udp(raft_port)
        if kind == "udp":
            return _udp(int(value))
        if kind == "host":
            address = int(ipaddress.IPv4Address(value))
            return [[_ipv4(), *_words(at, address)] for at in (26, 30)]
    except ValueError as error:
        raise UsageError(f"--filter {wanted}: {error}") from None
    raise UsageError(f"--filter {wanted}: it is one of raft, all, udp=PORT, host=ADDRESS")


def _udp(port: int) -> Filter:
    from p4switch.trace.events import Term

    if not 0 < port < 65536:
        raise ValueError("a port is 1 to 65535")
    return [[_ipv4(), Term(22, 0x00FF, 17), Term(at, 0xFFFF, port)] for at in (34, 36)]


def _ipv4() -> Term:
    from p4switch.trace.events import Term

    return Term(12, 0xFFFF, 0x0800)


def _words(offset: int, value: int) -> list[Term]:
    from p4switch.trace.events import Term

    return [Term(offset, 0xFFFF, value >> 16), Term(offset + 2, 0xFFFF, value & 0xFFFF)]
