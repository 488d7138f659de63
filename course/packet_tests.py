"""Packet tests in STF, one case at a time, and what was wrong told in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from controller.names import message_name, reason_name
from course.build import Unused
from hosts.wire import DEFAULT_PORT, FIRST_CLIENT_TYPE, Header, WireError
from p4switch.pipeline.entities import Output
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run
from p4switch.stf.script import Add, CheckCounter, Expect, Packet, Statement, StfError, parse
from sim.frames import PAYLOAD_AT
from topo.lab.configs import CPU_PORT

_COUNTER = re.compile(r"line (\d+): ([\w.]+)\((\d+)\) packets is (\d+), not (?:== )?(.*)")
_FIELDS = (
    ("the destination's MAC address", 0, 6),
    ("the source's MAC address", 6, 12),
    ("the TTL", 22, 23),
    ("the IPv4 checksum", 24, 26),
    ("the source address", 26, 30),
    ("the destination address", 30, 34),
    ("the source port", 34, 36),
    ("the destination port", 36, 38),
    ("the UDP length", 38, 40),
    ("the UDP checksum", 40, 42),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A block of lines: a comment that says in words what must happen, and the statements."""

    says: str
    statements: tuple[Statement, ...]


@dataclass(slots=True)
class Failed:
    """A case that did not go as it says."""

    says: str
    why: list[str]


def read(text: str) -> list[Case]:
    """The cases of a test: blocks between blank lines. Raises StfError."""
    statements = {one.line: one for one in parse(text)}
    cases, says, mine = [], [], []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip().startswith("#"):
            says.append(line.strip().lstrip("# "))
        if number in statements:
            mine.append(statements[number])
        if not line.strip():
            if mine:
                cases.append(Case(" ".join(says), tuple(mine)))
            says, mine = [], []
    return cases


def run(compiled: Path, text: str, unused: Unused) -> tuple[int, list[Failed]]:
    """How many cases send packets, and which of them failed. Statements about what the program does not have are
    passed over. Raises StfError, PipelineError."""
    cases = read(text)
    failed = []
    # Built without optimization: that takes a third of the time, and there are few packets.
    with Pipeline.load(compiled, flags=QUICK) as pipeline:
        watched = _Watched(pipeline)
        for case in cases:
            why = _judge(watched, [one for one in case.statements if not _is_about(one, unused)])
            if why:
                failed.append(Failed(case.says, why))
    return sum(any(isinstance(one, Packet) for one in case.statements) for case in cases), failed


def _is_about(one: Statement, unused: Unused) -> bool:
    return (isinstance(one, Add) and one.table in unused.tables) or (
        isinstance(one, CheckCounter) and one.counter in unused.counters
    )


@dataclass(slots=True)
class _Seen:
    """A packet that entered, and what became of it."""

    port: int
    frame: bytes
    left: list[tuple[int, bytes]]
    reasons: list[str] = field(default_factory=list)


class _Watched:
    """A pipeline whose time goes on from case to case, and that remembers what it did."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.seen: list[_Seen] = []
        self._began_us = self._last_us = 0
        self._drops = next(name for name in pipeline.program.counters if name.endswith(".drops"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipeline, name)

    def begin(self, seconds: int) -> None:
        """A case begins, in which so many seconds will be waited."""
        self._began_us, self.seen = self._last_us, []
        self._last_us += seconds

    def step(self, port: int, frame: bytes, now_us: int, random: int = 0) -> Output:
        """As a pipeline's."""
        self._last_us = self._began_us + now_us
        before = self.pipeline.counters(self._drops)
        output = self.pipeline.step(port, frame, self._last_us, random)
        after = self.pipeline.counters(self._drops)
        reasons = [reason_name(at) for at, (old, new) in enumerate(zip(before, after, strict=True)) if new != old]
        left = [(to, sent) for to, sent in output.packets if to != CPU_PORT or port == CPU_PORT]
        self.seen.append(_Seen(port, frame, left, reasons))
        return output


def _judge(watched: _Watched, statements: Sequence[Statement]) -> list[str]:
    watched.begin(0)
    differences = Run(watched).run(statements)
    why = []
    for seen, wanted in zip(watched.seen, _expectations(statements), strict=True):
        told = _compare(seen, wanted)
        if told:
            why.append(told)
    for text in differences:
        counter = _COUNTER.fullmatch(text)
        if counter:
            why.append(_counter_in_words(*counter.groups()))
    if differences and not why:
        why += differences
    return why


def _expectations(statements: Sequence[Statement]) -> list[list[Expect]]:
    """For each packet what is expected of it: the lines up to the next one."""
    found: list[list[Expect]] = []
    for one in statements:
        if isinstance(one, Packet):
            found.append([])
        elif isinstance(one, Expect) and found:
            found[-1].append(one)
    return found


def _compare(seen: _Seen, wanted: list[Expect]) -> str:
    what = f"{in_words(seen.frame)} came in at port {seen.port}"
    if not wanted:
        if not seen.left:
            return ""
        return f"{what}, and left by port {_ports(seen.left)}; expected: it is dropped"
    where = " and ".join(str(one.port) for one in wanted)
    if not seen.left:
        reason = f" (reason {', '.join(seen.reasons)})" if seen.reasons else ""
        return f"{what}, and was dropped{reason}; expected: it leaves by port {where}"
    if sorted(port for port, _ in seen.left) != sorted(one.port for one in wanted):
        return f"{what}, and left by port {_ports(seen.left)}; expected: it leaves by port {where}"
    for one in wanted:
        (frame, *_) = [sent for port, sent in seen.left if port == one.port]
        told = _bytes_in_words(frame, one)
        if told:
            return f"{what}, and left by port {one.port} as it must, but {told}"
    return ""


def _bytes_in_words(frame: bytes, want: Expect) -> str:
    digits, sent = want.data or "", frame.hex().upper()
    if len(sent) < len(digits) or (want.exact and len(sent) != len(digits)):
        return f"{len(frame)} bytes long, expected {len(digits) // 2}"
    differs = [at for at, (a, b) in enumerate(zip(digits, sent, strict=False)) if a not in ("*", b)]
    if not differs:
        return ""
    for name, start, end in _FIELDS:
        if any(2 * start <= at < 2 * end for at in differs):
            return (
                f"{name} is {_value(frame[start:end])}, expected {_value(bytes.fromhex(digits[2 * start : 2 * end]))}"
            )
    return f"it differs from byte {differs[0] // 2} on: the Raft header and what follows it must stay as they are"


def _value(field_: bytes) -> str:
    if len(field_) == 4:
        return str(IPv4Address(field_))
    return field_.hex(":") if len(field_) == 6 else f"{int.from_bytes(field_, 'big')} (0x{field_.hex()})"


def _ports(left: list[tuple[int, bytes]]) -> str:
    return " and ".join(
        f"{port} (to {IPv4Address(frame[30:34])})" if len(frame) >= PAYLOAD_AT else str(port) for port, frame in left
    )


def in_words(frame: bytes) -> str:
    """A frame, for people."""
    if len(frame) < PAYLOAD_AT or frame[12:14] != b"\x08\x00":
        return f"a frame of {len(frame)} bytes"
    where = f"from {IPv4Address(frame[26:30])} to {IPv4Address(frame[30:34])}"
    if DEFAULT_PORT not in (int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")):
        return f"a datagram {where} that is not Raft's"
    try:
        head = Header.unpack(frame[PAYLOAD_AT:])
    except WireError:
        return f"a message of type {frame[PAYLOAD_AT + 1 : PAYLOAD_AT + 2].hex() or 'none'} (hex) {where}"
    if head.type >= FIRST_CLIENT_TYPE:
        return f"{message_name(head.type)} of group {head.group} {where}"
    return f"{message_name(head.type)} of member {head.source} in term {head.term} {where}"


def _counter_in_words(line: str, counter: str, index: str, held: str, wanted: str) -> str:
    name = counter.rsplit(".", 1)[-1]
    if name == "messages":
        what = f" ({message_name(int(index))})"
    else:
        what = f" ({reason_name(int(index))})" if name == "drops" else ""
    return f"the counter {name}[{index}]{what} holds {held} packets, expected {wanted} (line {line})"


__all__ = ["Case", "Failed", "StfError", "in_words", "read", "run"]
