"""Values of many sizes: padded where they are written, looked through and cut back where they are read, so that a
history stays small."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from hosts.service.machine import READ_LIST_BYTES
from topo.errors import UsageError

BEFORE_SIZE, END = " of ", ":"
LEAST_BYTES, MOST_BYTES = 64, 1 << 20
ENCODING_BYTES = 5
"""What stands before a string's bytes in msgpack, at most."""

ValueBytes = tuple[int, int]
"""The least and the most."""

NAMES_ONLY: ValueBytes = (0, 0)
"""Values are no larger than their names."""


def parse_value_bytes(text: str) -> ValueBytes:
    """Sizes as they are written on the command line. Raises UsageError."""
    try:
        least, most = (int(part) for part in text.split("-"))
    except ValueError:
        raise UsageError(f"--values: {text!r} is no range of bytes; write it as in 100-200000") from None
    if not LEAST_BYTES <= least <= most <= MOST_BYTES:
        raise UsageError(f"--values: from {least} to {most} bytes is not within {LEAST_BYTES} to {MOST_BYTES}")
    return least, most


def draw(random: Random, value_bytes: ValueBytes) -> int:
    """As often between 100 bytes and 1 KB as between 10 and 100 KB."""
    least, most = value_bytes
    return round(math.exp(random.uniform(math.log(least), math.log(most)))) if most else 0


def padded(name: str, size: int) -> str:
    """A value of ``size`` bytes, at least LEAST_BYTES, that says its name and its size over and over; the name itself
    for 0. Raises ValueError for a name that leaves no room."""
    if not size:
        return name
    unit = f"{name}{BEFORE_SIZE}{size}{END}"
    if len(unit) > size or BEFORE_SIZE in name:
        raise ValueError(f"a value of {size} bytes cannot say {unit!r}")
    return (unit * (size // len(unit) + 1))[:size]


def cut_back(value: Any) -> Any:
    """The name of a value; what nobody has written, if it is not that value from its beginning to its end."""
    if not isinstance(value, str) or BEFORE_SIZE not in value:
        return value
    name, _, rest = value.partition(BEFORE_SIZE)
    try:
        whole = value == padded(name, int(rest.partition(END)[0]))
    except ValueError:
        whole = False
    return name if whole else f"{name}, of {len(value)} bytes, spoiled"


def answered(argument: tuple[int, int], result: tuple[int, list[Any]], most: int) -> tuple[int, int]:
    """What a read of the list was asked for, as far as an answer had room: at least one value, at most
    READ_LIST_BYTES of them. ``most``: bytes of the largest value."""
    start, limit = argument
    total, values = result
    size = sum(len(one) + ENCODING_BYTES for one in values if isinstance(one, str))
    was_full = bool(values) and size + most + ENCODING_BYTES > READ_LIST_BYTES
    return (start, len(values)) if was_full and len(values) < min(limit, total - start) else argument
