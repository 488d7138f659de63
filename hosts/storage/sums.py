"""The CRC-32C of any part of some bytes, at a cost that does not depend on how long the part is.

A CRC is linear: with P(i) the CRC of the first i bytes, and z(c, n) what n zero bytes make of c (in the sense of
zlib's ``crc32_combine``), the CRC of the bytes from a to b, begun with c, is P(b) ^ z(c ^ P(a), b - a). So one pass
over the bytes is enough for all their parts. What n zero bytes do is composed of what 1, 256, 65536, ... times a
number below 256 do; each of that is a matrix over GF(2), kept as four tables of 256 words.
"""

from __future__ import annotations

from array import array

from crc32c import crc32c

BLOCK_BYTES = 256
"""P is kept at every so manyth byte; what lies between is summed when it is needed."""

_Tables = tuple[list[int], list[int], list[int], list[int]]


class PartSums:
    """CRCs of any part of ``data`` from ``start`` on."""

    __slots__ = ("_data", "_prefix", "_start")

    def __init__(self, data: bytes, start: int) -> None:
        self._data = view = memoryview(data)
        self._start = start
        self._prefix = array("I", (0,))
        crc = 0
        for at in range(start, len(data) - BLOCK_BYTES + 1, BLOCK_BYTES):
            crc = crc32c(view[at : at + BLOCK_BYTES], crc)
            self._prefix.append(crc)

    def of(self, start: int, end: int, begun: int) -> int:
        """The CRC of the bytes from ``start``, which is not before this object's, to ``end``, begun with another."""
        return self._up_to(end) ^ over_zeros(begun ^ self._up_to(start), end - start)

    def _up_to(self, end: int) -> int:
        blocks = (end - self._start) // BLOCK_BYTES
        return crc32c(self._data[self._start + blocks * BLOCK_BYTES : end], self._prefix[blocks])


def over_zeros(crc: int, count: int) -> int:
    """What ``count`` zero bytes make of a CRC, less what they make of 0."""
    digit = 0
    while count:
        value = count & 255
        if value:
            key = digit << 8 | value
            a, b, c, d = _known.get(key) or _make(key)
            crc = a[crc & 255] ^ b[crc >> 8 & 255] ^ c[crc >> 16 & 255] ^ d[crc >> 24]
        count >>= 8
        digit += 1
    return crc


_known: dict[int, _Tables] = {}
"""By digit and value: what value * 256^digit zero bytes do."""


def _make(key: int) -> _Tables:
    """As the next smaller one, and then once more what the digit's 1 does; that is 256 times the digit below's 255
    and 1."""
    digit, value = key >> 8, key & 255
    columns = [1 << bit for bit in range(32)]
    if value > 1:
        steps = [key - 1, digit << 8 | 1]
    elif digit:
        steps = [digit - 1 << 8 | 255, digit - 1 << 8 | 1]
    else:
        steps = []
        columns = [crc32c(b"\0", column) ^ crc32c(b"\0", 0) for column in columns]
    for step in steps:
        a, b, c, d = _known.get(step) or _make(step)
        columns = [a[x & 255] ^ b[x >> 8 & 255] ^ c[x >> 16 & 255] ^ d[x >> 24] for x in columns]
    tables = tuple(_table(columns[first : first + 8]) for first in (0, 8, 16, 24))
    _known[key] = tables  # type: ignore[assignment]
    return _known[key]


def _table(columns: list[int]) -> list[int]:
    table = [0]
    for column in columns:
        table += [entry ^ column for entry in table]
    return table
