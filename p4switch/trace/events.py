"""A packet's way through a program, as events: a build of the program with -DP4_TRACE, and what its records say.

The traced build runs on the very state (tables, registers, counters) of the pipeline that it was made for, so what it
shows is what happens. See runtime/p4_trace.h.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from p4switch.codegen.trace import FIELD, VALIDITY, stored_size
from p4switch.pipeline.native import FLAGS, build_program, load_library
from p4switch.pipeline.pipeline import Pipeline
from p4switch.pipeline.records import RecordKind, records, step_alone
from p4switch.program import Json

TRACE_FLAGS = (*FLAGS, "-DP4_TRACE")
MOST_TERMS = MOST_ALTERNATIVES = 8
MOST_EVENTS = 400
"""How many events of one frame are told: one that goes round may have a hundred thousand, each with all fields."""


class Kind(IntEnum):
    """As enum p4_trace_event in runtime/p4_trace.h."""

    BEGIN = 1
    ENTER = 2
    STATE = 3
    PARSED = 4
    INGRESS = 5
    CONDITION = 6
    TABLE = 7
    ACTION = 8
    FATE = 9
    EGRESS = 10
    LEFT = 11
    DEPARSE = 12
    SENT = 13
    LOST = 14
    END = 15


class Lost(IntEnum):
    """Why a packet went no further, as enum p4_trace_lost in runtime/p4_trace.h."""

    ROUNDS = 0
    PACKETS = 1
    LENGTH = 2
    MEMORY = 3


@dataclass(frozen=True)
class Event:
    """One step. `fields`: the packet's fields as they were just before it, those of invalid headers left out; the
    names of valid headers themselves are 1. `frame`: of BEGIN and SENT."""

    kind: Kind
    number: int
    words: tuple[int, ...] = ()
    fields: Mapping[str, int] = field(default_factory=dict)
    frame: bytes = b""


@dataclass(frozen=True)
class Term:
    """16 bits of a frame: those in `mask` must have `value`."""

    offset: int
    mask: int
    value: int


Filter = Sequence[Sequence[Term]]
"""Frames for which all terms of one of the alternatives hold; without any, all frames."""


class _CTerm(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint32), ("mask", ctypes.c_uint16), ("value", ctypes.c_uint16)]


class _CAlternative(ctypes.Structure):
    _fields_ = [("terms", ctypes.c_uint32), ("term", _CTerm * MOST_TERMS)]


class _CFilter(ctypes.Structure):
    _fields_ = [
        ("alternatives", ctypes.c_uint32),
        ("gap_us", ctypes.c_uint32),
        ("most", ctypes.c_uint32),
        ("alternative", _CAlternative * MOST_ALTERNATIVES),
    ]


class _CField(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("offset", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("words", ctypes.c_uint32),
        ("validity", ctypes.c_uint32),
    ]


@dataclass(frozen=True)
class Place:
    """Where a field stands in the C side's packet; offset in bytes, width in bits."""

    name: str
    offset: int
    width: int
    kind: int

    @property
    def size(self) -> int:
        """Bytes that it takes there."""
        return stored_size(self.width, self.kind)


HAS_NO_FIELDS = frozenset((Kind.BEGIN, Kind.SENT, Kind.LOST, Kind.END))


class State:
    """The C side's packet, as far as events told of it."""

    def __init__(self, places: Iterable[Place]) -> None:
        last = max((place.offset + place.size for place in places), default=0)
        self._nothing = bytes((last + 7) // 8 * 8)
        self.forget()

    def forget(self) -> None:
        """As it is at a BEGIN: all zeros."""
        self._words = array("Q", self._nothing)
        self.held = self._nothing

    def change(self, pairs: bytes) -> bytes:
        """The packet, after an event that tells these pairs. The same object if there are none."""
        if pairs:
            words = self._words
            told = iter(array("Q", pairs))
            for at, word in zip(told, told, strict=True):
                words[at] = word
            self.held = words.tobytes()
        return self.held


class Tracer:
    """The traced build for one pipeline."""

    def __init__(self, pipeline: Pipeline, data: Json, cache: Path | None = None) -> None:
        """`data`: the JSON that the pipeline was loaded from. Slow unless `cache` has the traced
        build. Raises BuildError, OSError."""
        self.pipeline = pipeline
        built = build_program(data, pipeline.program, cache, TRACE_FLAGS)
        self.library = load_library(built.library)
        self.library.p4_trace_use.argtypes = (ctypes.c_void_p,)
        self.library.p4_trace_use.restype = None
        self.places = tuple(_places(self.library))
        self.choose()

    def choose(self, frames: Filter = (), gap_us: int = 0, most: int = MOST_EVENTS) -> None:
        """Trace only such frames, none within `gap_us` of the one before, and of each the first `most` events and the
        END (0: all). Not while a loop runs this build. Raises ValueError."""
        if len(frames) > MOST_ALTERNATIVES or any(len(terms) > MOST_TERMS for terms in frames):
            raise ValueError(f"a filter has at most {MOST_ALTERNATIVES} alternatives of {MOST_TERMS} terms")
        chosen = _CFilter(len(frames), gap_us, most)
        for alternative, terms in zip(chosen.alternative, frames, strict=False):
            alternative.terms = len(terms)
            for target, term in zip(alternative.term, terms, strict=False):
                target.offset, target.mask, target.value = term.offset, term.mask, term.value & term.mask
        self.library.p4_trace_use(ctypes.byref(chosen))

    def step(self, port: int, frame: bytes, now_us: int = 0, random: int = 0) -> list[Event]:
        """One frame, as `Pipeline.step`: with all its effects on counters and registers."""
        switch = self.pipeline.native.switch
        return list(self.events(step_alone(self.library, switch, port, frame, now_us, random)))

    def events(self, given: bytes) -> Iterator[Event]:
        """The traced records among these."""
        state, held, fields = State(self.places), b"", dict[str, int]()
        for kind, which, body in records(given):
            if kind != RecordKind.TRACED:
                continue
            number, count = struct.unpack_from("=QQ", body)
            words = struct.unpack_from(f"={count}Q", body, 16)
            rest = body[16 + 8 * count :]
            if which == Kind.BEGIN:
                state.forget()
            if which in HAS_NO_FIELDS:
                yield Event(Kind(which), number, words, frame=rest)
                continue
            now = state.change(rest)
            if now is not held:
                held, fields = now, self._fields(now)
            yield Event(Kind(which), number, words, fields)

    def _fields(self, packet: bytes) -> dict[str, int]:
        found: dict[str, int] = {}
        skipped = ""
        for place in self.places:
            if skipped and place.name.startswith(skipped):
                continue
            if place.kind == VALIDITY:
                skipped = "" if packet[place.offset] else f"{place.name}."
                if not skipped:
                    found[place.name] = 1
            elif place.kind == FIELD:
                found[place.name] = int.from_bytes(packet[place.offset : place.offset + place.size], "little")
            else:
                bits = int.from_bytes(packet[place.offset : place.offset + 4], "little")
                value = packet[place.offset + 4 : place.offset + 4 + bits // 8]
                found[place.name] = int.from_bytes(value, "big")
        return found


def _places(library: ctypes.CDLL) -> Iterator[Place]:
    table = ctypes.cast(library.p4_trace_fields, ctypes.POINTER(_CField))
    index = 0
    while table[index].name:
        one = table[index]
        yield Place(one.name.decode(), one.offset, one.width, one.kind)
        index += 1


def packets(events: Sequence[Event]) -> Iterator[list[Event]]:
    """The events cut into packets, each from its BEGIN to its END; what is not whole is left out."""
    current: list[Event] = []
    for event in events:
        if event.kind == Kind.BEGIN:
            current = []
        current.append(event)
        if event.kind == Kind.END:
            if current[0].kind == Kind.BEGIN:
                yield current
            current = []
