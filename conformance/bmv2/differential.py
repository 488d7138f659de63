"""The same random entries and packets on BMv2 and on the embedded switch, from one shape and one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from conformance.bmv2.device import Device
from conformance.bmv2.inputs import Copies, Default, Insert, Operation, Round
from p4switch.errors import PipelineError
from p4switch.pipeline.entities import Group, Match, Member, Output, Replica
from p4switch.pipeline.pipeline import Pipeline

WINDOW = 12
"""Packets under way at once: BMv2's egress queues hold 64, and one packet may become several."""
START_US, STEP_US = 10_000_000, 1000
Frames = list[tuple[int, bytes]]
Mask = Mapping[str, Sequence[Sequence[int]]]


class Programmable(Protocol):
    """What operations ask of a Pipeline or a Device."""

    def insert(
        self, table: str, match: Sequence[Match], action: str | Member | Group, params: Sequence[int], priority: int
    ) -> int: ...
    def set_default(self, table: str, action: str, params: Sequence[int]) -> None: ...
    def add_member(self, profile: str, action: str, params: Sequence[int]) -> int: ...
    def add_group(self, profile: str, members: Sequence[int]) -> int: ...
    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None: ...
    def set_clone_session(self, session: int, replicas: Sequence[Replica]) -> None: ...


def carry_out(target: Programmable, operations: Sequence[Operation]) -> list[bool]:
    """Whether each was taken."""
    return [_taken(target, one) for one in operations]


def _taken(target: Programmable, one: Operation) -> bool:
    try:
        if isinstance(one, Default):
            target.set_default(one.table, one.action, one.params)
        elif isinstance(one, Copies):
            write = target.set_clone_session if one.session else target.set_multicast_group
            write(one.number, one.replicas)
        else:
            _insert(target, one)
    except PipelineError:
        return False
    return True


def _insert(target: Programmable, one: Insert) -> None:
    if not one.profile:
        target.insert(one.table, one.match, one.action, one.params, one.priority)
        return
    members = [target.add_member(one.profile, *call) for call in one.members]
    if len(members) == 1:
        target.insert(one.table, one.match, Member(members[0]), (), one.priority)
    else:
        target.insert(one.table, one.match, Group(target.add_group(one.profile, members)), (), one.priority)


def masked(frames: Frames, mask: Mask) -> Frames:
    """Sorted; the bytes that time decides are zero."""
    out = []
    for port, frame in frames:
        for first, end in mask.get(str(port), ()):
            frame = frame[:first] + bytes(len(frame[first:end])) + frame[end:]
        out.append((port, frame))
    return sorted(out)


def embedded(pipeline: Pipeline, given: Round, mask: Mask) -> Iterator[Frames]:
    """What each packet leads to on the embedded switch."""
    now = START_US
    for port, frame in given.frames:
        output: Output = pipeline.step(port, frame, now)
        now += STEP_US
        yield masked(list(output.packets), mask)


def on_bmv2(device: Device, given: Round, mask: Mask, sequential: bool) -> Iterator[Frames]:
    """What each packet leads to on BMv2. Raises ReferenceError if BMv2 ends."""
    window = 1 if sequential else WINDOW
    for at in range(0, len(given.frames), window):
        for frames in device.switch.send(given.frames[at : at + window]):
            yield masked(frames, mask)


def digest(frames: Frames) -> bytes:
    """Two bytes that stand for what a packet led to; zeros for nothing."""
    if not frames:
        return b"\0\0"
    text = b"".join(b"%d:%d:%b" % (port, len(frame), frame) for port, frame in frames)
    return hashlib.blake2s(text, digest_size=2).digest()


def text(frames: Frames) -> str:
    return ", ".join(f"{port} {frame.hex()}" for port, frame in frames) or "dropped"
