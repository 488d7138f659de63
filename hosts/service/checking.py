"""Whether bytes from outside are a value, found out in steps, between which whoever asks can do other work.

``hosts.service.values.decode`` says what a value is, by making it. Here nothing is made that lasts: no list of
millions, and no map, whose keys somebody may have chosen so that each collides with all others. So bytes cost time in
proportion to their number, and no memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import msgpack

from hosts.service import values
from hosts.service.values import MAX_CONTAINERS, MAX_DEPTH, MAX_LARGE_BYTES, MAX_VALUE_BYTES, ValueFault

AT_ONCE_BYTES = 8 << 10
"""A value of no more bytes is decoded to see whether it is one: nothing that so few can hold takes longer than a
step."""

STEP_BYTES = 16 << 10
"""How much of a value is looked through in one step, which takes about 2 ms at the most."""

ASCII_BYTES = 256 << 10
"""How much of a text is looked through in one step, as long as it is ASCII."""


@dataclass(frozen=True, slots=True)
class Steps:
    """How many bytes one step looks through at the most: of any kind, and of a text that is ASCII."""

    any_bytes: int = STEP_BYTES
    ascii_bytes: int = ASCII_BYTES


STEPS = Steps()

SLOW_BYTES = 16
"""An object with a length in front of it takes as long as so many bytes of others."""

_BIN32 = b"\xc6"
_BIN32_HEAD = 5
_MOST_HEAD = 33
"""Bytes of the longest object without a length in front of it: a text of 31 bytes; and of any length."""


def _widths() -> tuple[int, ...]:
    """By first byte: the bytes of an object that has always so many; negative for a text, 0 for all others."""
    widths = [1] * 128 + [0] * 32 + [-1 - length for length in range(32)] + [0] * 32 + [1] * 32
    for first, width in ((0xC0, 1), (0xC2, 1), (0xC3, 1), (0xCA, 5), (0xCB, 9)):
        widths[first] = width
    for step, width in enumerate((2, 3, 5, 9)):
        widths[0xCC + step] = widths[0xD0 + step] = width
    return tuple(widths)


_WIDTHS = _widths()
_TEXT, _BYTES, _EXTENSION, _LIST, _MAP = range(5)
_LENGTHS = {width: struct.Struct(code) for width, code in ((1, ">B"), (2, ">H"), (4, ">I"))}
_LONG = {
    **{first: (_BYTES, width) for first, width in ((0xC4, 1), (0xC5, 2), (0xC6, 4))},
    **{first: (_EXTENSION, width) for first, width in ((0xC7, 1), (0xC8, 2), (0xC9, 4))},
    **{first: (_TEXT, width) for first, width in ((0xD9, 1), (0xDA, 2), (0xDB, 4))},
    **{first: (_LIST, width) for first, width in ((0xDC, 2), (0xDD, 4))},
    **{first: (_MAP, width) for first, width in ((0xDE, 2), (0xDF, 4))},
}
"""First bytes of objects whose length follows, in so many bytes."""


class Check:
    """Looks through what should be one value. ``step`` raises ValueFault as soon as it is none."""

    def __init__(self, data: bytes | memoryview, steps: Steps = STEPS) -> None:
        self._data = data
        self._steps = steps
        self._at = 0
        self._text_end = 0
        """Where the text ends that is being looked through."""
        self._missing = [1]
        """Objects that are still to come, in all and then in each open list or map; keys and values of a map."""
        self._maps = [False]
        self._containers = MAX_CONTAINERS
        self._texts: list[bytes] = []
        self._text_count = 0
        """Objects with texts among them that have been counted, and have not been looked into."""

    def step(self) -> bool:
        """Look a little further. True at the end."""
        if self._at < self._text_end:
            self._read_text()
        else:
            self._read_objects()
        if self._missing:
            return False
        if self._at < len(self._data):
            raise ValueFault("not a value: more bytes follow it")
        return True

    def _read_objects(self) -> None:
        start, slow, most = self._at, 0, self._steps.any_bytes
        window = bytes(self._data[start : start + most + _MOST_HEAD])
        if not window:
            raise _cut_short()
        while self._missing and self._at - start + slow < most and self._at - start < len(window):
            at = self._at - start
            if _WIDTHS[window[at]]:
                self._read_short(window, at, most - slow)
            else:
                slow += SLOW_BYTES
                self._read_long(window, at)
                if self._at < self._text_end:
                    break
        if self._texts:
            self._look_into_texts()

    def _look_into_texts(self) -> None:
        packed = b"".join((b"\xdd", self._text_count.to_bytes(4, "big"), *self._texts))
        self._texts.clear()
        self._text_count = 0
        try:
            msgpack.unpackb(packed, unicode_errors="surrogatepass")
        except ValueError as error:
            raise ValueFault(f"not a value: {error}") from error

    def _read_short(self, window: bytes, start: int, limit: int) -> None:
        """Read all objects that follow one another and have no lists, maps or lengths in front of them."""
        at, count, text = start, 0, False
        end = min(limit, len(window))
        while at < end:
            width = _WIDTHS[window[at]]
            if width > 0:
                at += width
            elif width:
                at -= width
                text = True
            else:
                break
            count += 1
        if at > len(window):
            raise _cut_short()
        if text:
            self._texts.append(window[start:at])
            self._text_count += count
        self._at += at - start
        self._has_come(count)

    def _read_long(self, window: bytes, at: int) -> None:
        first = window[at]
        if 0x80 <= first < 0xA0:
            self._at += 1
            self._open(first & 0x0F, is_map=first < 0x90)
            return
        if 0xD4 <= first <= 0xD8:
            self._at += 1
            self._read_extension(1 << (first - 0xD4))
            return
        kind, width = _LONG.get(first, (None, 0))
        if kind is None:
            raise ValueFault("not a value: a byte that begins nothing")
        if at + 1 + width > len(window):
            raise _cut_short()
        (length,) = _LENGTHS[width].unpack_from(window, at + 1)
        self._at += 1 + width
        if kind is _LIST or kind is _MAP:
            self._open(length, is_map=kind is _MAP)
        elif kind is _EXTENSION:
            self._read_extension(length)
        elif self._at + length > len(self._data):
            raise _cut_short()
        elif kind is _TEXT and length:
            self._text_end = self._at + length
        else:
            self._at += length
            self._has_come(1)

    def _read_extension(self, length: int) -> None:
        end = self._at + 1 + length
        if end > len(self._data):
            raise _cut_short()
        values.extension(self._data[self._at], bytes(self._data[self._at + 1 : end]))
        self._at = end
        self._has_come(1)

    def _read_text(self) -> None:
        piece = bytes(self._data[self._at : min(self._at + self._steps.ascii_bytes, self._text_end)])
        if not piece.isascii():
            if self._text_end - self._at > self._steps.any_bytes:
                piece = _whole_characters(piece[: self._steps.any_bytes])
            try:
                piece.decode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise ValueFault(f"not a value: {error}") from error
        self._at += len(piece)
        if self._at == self._text_end:
            self._has_come(1)

    def _open(self, length: int, *, is_map: bool) -> None:
        """A list or a map begins."""
        if self._maps[-1] and self._missing[-1] % 2 == 0:
            raise values.bad_key()
        if len(self._missing) > MAX_DEPTH:
            raise values.too_deep()
        self._containers -= 1
        if self._containers < 0:
            raise values.too_many()
        objects = 2 * length if is_map else length
        if objects > len(self._data) - self._at:
            raise _cut_short()
        self._missing[-1] -= 1
        self._missing.append(objects)
        self._maps.append(is_map)
        self._has_come(0)

    def _has_come(self, count: int) -> None:
        """``count`` objects that hold no others were read; lists and maps end with the last object that they hold."""
        missing = self._missing
        while count or (missing and not missing[-1]):
            if not missing:
                raise ValueFault("not a value: more bytes follow it")
            taken = min(count, missing[-1])
            missing[-1] -= taken
            count -= taken
            if not missing[-1]:
                missing.pop()
                self._maps.pop()


class Checks:
    """Looks through several, one after the other; ``step`` as a Check's."""

    def __init__(self, checks: list[Check]) -> None:
        """``checks``: at least one."""
        self._checks = checks

    def step(self) -> bool:
        """Look a little further. True at the end."""
        if self._checks[-1].step():
            self._checks.pop()
        return not self._checks


def begin(data: bytes | memoryview, steps: Steps = STEPS) -> Check | None:
    """What is to be done to know whether ``data`` is a value, None if it is one. Raises ValueFault if it is none, as
    far as that is seen at once; no longer value than ``values.encode`` makes is one."""
    most = MAX_LARGE_BYTES if data[:1] == _BIN32 else MAX_VALUE_BYTES
    if len(data) > most:
        raise values.too_large(len(data), most)
    if data[:1] == _BIN32 and len(data) >= _BIN32_HEAD:
        if int.from_bytes(data[1:_BIN32_HEAD], "big") != len(data) - _BIN32_HEAD:
            raise ValueFault("bytes of another length than they say")
        return None
    if len(data) <= AT_ONCE_BYTES:
        values.decode(data)
        return None
    return Check(data, steps)


def begin_all(several: Iterable[bytes | memoryview], steps: Steps = STEPS) -> Checks | None:
    """Begin to check several values; None if all of them are checked at once."""
    checks = [check for check in (begin(one, steps) for one in several) if check is not None]
    return Checks(checks) if checks else None


def check(data: bytes | memoryview) -> None:
    """Look through all of it at once. Raises ValueFault for what ``values.encode`` would not have written."""
    begun = begin(data)
    while begun is not None and not begun.step():
        pass


def _cut_short() -> ValueFault:
    return ValueFault("not a value: it is cut short")


def _whole_characters(piece: bytes) -> bytes:
    """A piece from the middle of a text, less the character at its end that may go on behind it."""
    for back in range(1, 5):
        if piece[-back] & 0xC0 != 0x80:
            return piece[:-back] if piece[-back] & 0x80 else piece
    return piece
