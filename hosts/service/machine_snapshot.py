"""A state machine as a stream of bytes, made and read in slices, so that nobody waits long for either.

    length:32, then that many bytes of msgpack: [kind, contents]

again and again. Kinds: 0 the head (version, index and term of the last entry applied, how many of each kind follow),
1 values of the list, 2 pairs, 3 sessions, 4 a large value of the list, 5 a large pair; of these two only what stands
before the value, and its length, are msgpack, and the value's bytes come behind it; 6 traces of forgotten sessions.
Where there are no traces the version is 1 and the head does not count them, as in version 0.1.

Members that have applied the same entries dump the same bytes: pairs stand in the order in which their keys came, and
traces in that in which their sessions went, which the log decides.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from typing import Any

import msgpack

from hosts.raft.snapshot import Data
from hosts.service.machine import Machine
from hosts.service.requests import Encoded

VERSION = 2
VERSION_WITHOUT_TRACES = 1
_HEAD, _ITEMS, _PAIRS, _SESSIONS, _LARGE_ITEM, _LARGE_PAIR, _TRACES = range(7)
_HEAD_LENGTH = {VERSION_WITHOUT_TRACES: 6, VERSION: 7}
_LENGTH = struct.Struct(">I")

SLICE_OBJECTS = 512
SLICE_BYTES = 256 << 10
"""A slice ends when it has so many objects, or so many bytes of values. A value of more bytes is large: it has slices
to itself."""


class Dump:
    """The state as it was when this was made, although the machine goes on: each ``next`` gives a slice of it.

    The list only grows, so its beginning stays. Of a pair or a session that changes meanwhile, the machine keeps the
    former one until ``close``.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._items = len(machine.items)
        self._keys = list(machine.pairs)
        self._changed = machine.preserve_pairs()
        self._sessions = machine.sessions.preserve()
        self._traces = list(machine.sessions.traces)
        head = [VERSION if self._traces else VERSION_WITHOUT_TRACES, machine.applied_index, machine.applied_term]
        head += [self._items, len(self._keys), len(self._sessions)]
        if self._traces:
            head.append(len(self._traces))
        self._slices = self._generate(head)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._slices)

    def close(self) -> None:
        """The machine need keep nothing any more."""
        self._slices.close()
        self._machine.stop_preserving()

    def _generate(self, head: list[int]) -> Generator[bytes, None, None]:
        yield _pack(_HEAD, head)
        yield from self._slices_of_items()
        yield from self._slices_of_pairs()
        sessions = self._machine.sessions
        for number in self._sessions:
            yield _pack(_SESSIONS, [sessions.preserved(number)])
        for start in range(0, len(self._traces), SLICE_OBJECTS):
            yield _pack(_TRACES, self._traces[start : start + SLICE_OBJECTS])

    def _slices_of_items(self) -> Iterator[bytes]:
        items, at = self._machine.items, 0
        while at < self._items:
            size = 0
            chosen: list[tuple[int, int, Encoded]] = []
            for item in items[at : min(at + SLICE_OBJECTS, self._items)]:
                size += len(item.value)
                if size > SLICE_BYTES:
                    break
                chosen.append((item.index, item.term, item.value))
            at += len(chosen)
            if chosen:
                yield _pack(_ITEMS, chosen)
            elif at < self._items:
                item = items[at]
                at += 1
                yield from _large(_LARGE_ITEM, [item.index, item.term], item.value)

    def _slices_of_pairs(self) -> Iterator[bytes]:
        pairs, changed = self._machine.pairs, self._changed
        size = 0
        chosen: list[tuple[bytes, Encoded]] = []
        for key in self._keys:
            value = changed[key] if key in changed else pairs[key]
            assert value is not None, "it was there when this began"
            length = len(key) + len(value)
            if chosen and (len(chosen) == SLICE_OBJECTS or size + length > SLICE_BYTES):
                yield _pack(_PAIRS, chosen)
                size, chosen = 0, []
            if length > SLICE_BYTES:
                yield from _large(_LARGE_PAIR, [key], value)
            else:
                chosen.append((key, value))
                size += length
        if chosen:
            yield _pack(_PAIRS, chosen)


def _pack(kind: int, contents: list[Any]) -> bytes:
    body = bytes(msgpack.packb([kind, contents]))
    return _LENGTH.pack(len(body)) + body


def _large(kind: int, contents: list[Any], value: Encoded) -> Iterator[bytes]:
    yield _pack(kind, [*contents, len(value)])
    for start in range(0, len(value), SLICE_BYTES):
        yield bytes(value[start : start + SLICE_BYTES])


class Loading:
    """Makes a machine what was dumped, in steps; until the last it stays as it was.

    ``step`` raises ValueError for anything that is no dump."""

    def __init__(self, machine: Machine, data: Data) -> None:
        self._machine = machine
        self._data = data
        self._at = 0
        self._head: list[int] = []
        self._made = machine.blank()

    def step(self) -> bool:
        """Read another slice. True at the end."""
        try:
            if self._at < len(self._data):
                self._read_slice()
                return False
            if not self._head or self._missing():
                raise ValueError("it is cut short")
        except (ValueError, TypeError, KeyError, struct.error, msgpack.UnpackException) as error:
            raise ValueError(f"a state machine's snapshot that cannot be read: {error}") from error
        self._machine.become(self._made)
        return True

    def _missing(self) -> bool:
        made = self._made
        counts = [len(made.items), len(made.pairs), len(made.sessions), made.sessions.trace_count]
        return self._head[3:] != counts[: len(self._head) - 3]

    def _read_slice(self) -> None:
        start = self._at + _LENGTH.size
        (length,) = _LENGTH.unpack(self._data[self._at : start])
        self._at = start + length
        body = self._data[start : self._at]
        if len(body) != length:
            raise ValueError("it is cut short")
        kind, contents = msgpack.unpackb(body, max_bin_len=length, max_str_len=length, max_array_len=length)
        made = self._made
        if kind == _ITEMS:
            made.add_items(contents)
        elif kind == _PAIRS:
            made.pairs.update(contents)
        elif kind == _SESSIONS:
            made.sessions.add(contents)
        elif kind == _TRACES:
            made.sessions.add_traces(contents)
        elif kind == _LARGE_ITEM:
            index, term, size = contents
            made.add_items([(index, term, self._read_value(size))])
        elif kind == _LARGE_PAIR:
            key, size = contents
            made.pairs[key] = self._read_value(size)
        elif kind == _HEAD and not self._head:
            version, made.applied_index, made.applied_term, *_ = self._head = contents
            if len(contents) != _HEAD_LENGTH.get(version):
                raise ValueError(f"version {version} is not known here")
        else:
            raise ValueError(f"a slice of kind {kind}")

    def _read_value(self, size: int) -> bytes:
        start = self._at
        self._at = start + size
        value = self._data[start : self._at]
        if len(value) != size or size < 0:
            raise ValueError("it is cut short")
        return value


def dump(machine: Machine) -> bytes:
    """All of a machine at once. Those that have applied the same entries dump the same bytes."""
    slices = Dump(machine)
    try:
        return b"".join(slices)
    finally:
        slices.close()


def load(machine: Machine, data: Data) -> None:
    """Make a machine what was dumped, at once. Raises ValueError for anything else; then nothing has changed."""
    loading = Loading(machine, data)
    while not loading.step():
        pass
