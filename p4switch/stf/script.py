"""The STF language: text to statements.

The P4 community's simple test format, one statement a line, ``#`` comments:
``packet PORT HEX``, ``expect PORT [HEX]`` (``*`` any digit, ``$`` the packet ends here), ``no_packet``, ``wait``,
``add TABLE [PRIORITY] KEY:VALUE… ACTION(PARAM:VALUE, …)``, ``setdefault TABLE ACTION(…)``, ``remove all``,
``check_counter NAME(INDEX) [packets|bytes OP NUMBER]``, and simple_switch_CLI's mirroring_*, mc_*, counter_*,
register_*, meter_* and act_prof_* commands, with table_indirect_add_with_group.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from p4switch.options import MAX_PORT

MAX_FRAME = 65535
"""Bytes that a switch takes in: P4_MAX_FRAME of runtime/p4_switch.h."""


class StfError(Exception):
    """The test file cannot be understood or carried out; the text names the line."""


@dataclass(frozen=True)
class Call:
    """An action with its arguments by name."""

    name: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Packet:
    line: int
    port: int
    frame: bytes


@dataclass(frozen=True)
class Expect:
    """`data` None: anything on the port, any number of packets. Else hex digits and ``*``; `exact`: nothing after."""

    line: int
    port: int
    data: str | None
    exact: bool


@dataclass(frozen=True)
class NoPacket:
    line: int


@dataclass(frozen=True)
class Add:
    line: int
    table: str
    priority: int | None
    match: tuple[tuple[str, str], ...]
    action: Call


@dataclass(frozen=True)
class SetDefault:
    line: int
    table: str
    action: Call


@dataclass(frozen=True)
class CheckCounter:
    """`index`: a cell; for a direct counter an entry's name. `unit` '' : no condition."""

    line: int
    counter: str
    index: str
    unit: str
    operator: str
    number: int


@dataclass(frozen=True)
class Command:
    """One of simple_switch_CLI's, with its words; also wait and remove."""

    line: int
    name: str
    words: tuple[str, ...]


Statement = Packet | Expect | NoPacket | Add | SetDefault | CheckCounter | Command

COMMANDS = {
    "wait": (0, 0),
    "remove": (1, 1),
    "mirroring_add": (2, 2),
    "mirroring_add_mc": (2, 2),
    "mirroring_delete": (1, 1),
    "mirroring_get": (1, 1),
    "mc_mgrp_create": (1, 1),
    "mc_node_create": (1, 99),
    "mc_node_update": (1, 99),
    "mc_node_associate": (2, 2),
    "act_prof_create_member": (2, 99),
    "act_prof_create_group": (1, 1),
    "act_prof_add_member_to_group": (3, 3),
    "table_indirect_add_with_group": (3, 99),
    "counter_read": (2, 2),
    "counter_write": (4, 4),
    "register_read": (2, 2),
    "register_write": (3, 3),
    "register_reset": (1, 1),
    "meter_get_rates": (2, 2),
    "meter_set_rates": (3, 4),
    "meter_array_set_rates": (2, 3),
}
"""Name to the least and most number of words after it."""

_ACTION = re.compile(r'("[^"]+"|[\w.$\[\]]+)\s*\(([^)]*)\)\s*(?:=\s*[\w$]+)?\s*$')
_COUNTER = re.compile(r"([\w.$\"]+)\s*\(\s*([\w$]+)\s*\)\s*(?:(packets|bytes)\s*(==|!=|<=|<|>=|>)\s*(\w+))?\s*$")


def number(text: str) -> int:
    """Decimal, 0x, 0b or 0o. Raises ValueError."""
    digits = text.removeprefix("-")
    try:
        return int(text, 0) if digits[:2].lower() in ("0x", "0b", "0o") else int(text)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no number: they are decimal, or begin with 0x, 0b or 0o") from None


def natural(text: str, most: int | None = None) -> int:
    """A number that counts something, or says which one. Raises ValueError."""
    found = number(text)
    if found < 0 or (most is not None and found > most):
        raise ValueError(f"{text[:50]} is not a number from 0 {'on' if most is None else f'to {most}'}")
    return found


def read(path: Path) -> list[Statement]:
    """The statements of a file. Raises StfError, with the line where it can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StfError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise StfError("cannot be read: it is not UTF-8 text") from None
    return parse(text)


def port_number(text: str) -> int:
    """A port that frames come from and go to. Raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MAX_PORT:
        raise ValueError(f"there is no port {text}: they are 0 to {MAX_PORT}")
    return int(text)


def parse(text: str) -> list[Statement]:
    """Raises StfError with the line number."""
    out: list[Statement] = []
    for line, raw in enumerate(text.splitlines(), 1):
        bare = raw.split("#", 1)[0].strip()
        if not bare:
            continue
        word, _, rest = bare.partition(" ") if " " in bare else bare.partition("\t")
        try:
            out.append(_statement(line, word.lower(), rest.strip()))
        except (ValueError, IndexError) as error:
            raise StfError(f"line {line}: {error}: {bare[:200]}") from None
    return out


def _statement(line: int, word: str, rest: str) -> Statement:
    if word == "packet":
        port, data = _first(rest, "packet PORT HEX")
        digits = "".join(data.split())
        if not re.fullmatch("([0-9a-fA-F]{2})*", digits):
            raise ValueError("a packet is pairs of hex digits")
        if len(digits) > 2 * MAX_FRAME:
            raise ValueError(f"a packet has at most {MAX_FRAME:,} bytes")
        return Packet(line, port_number(port), bytes.fromhex(digits))
    if word == "expect":
        port, data = _first(rest, "expect PORT [HEX]")
        digits = "".join(data.split()).upper()
        if not re.fullmatch(r"[0-9A-F*]*\$?", digits):
            raise ValueError("an expected packet is hex digits and *, and may end with $")
        return Expect(line, port_number(port), digits.rstrip("$") if digits else None, digits.endswith("$"))
    if word == "no_packet":
        return NoPacket(line)
    if word == "add":
        return _add(line, rest)
    if word == "setdefault":
        table, action = _first(rest, "setdefault TABLE ACTION(PARAM:VALUE, …)")
        return SetDefault(line, _unquote(table), _call(action))
    if word == "check_counter":
        return _check_counter(line, rest)
    if word in COMMANDS:
        words = tuple(rest.split())
        least, most = COMMANDS[word]
        if not least <= len(words) <= most:
            raise ValueError(f"{word} takes {least} words" + (f" to {most}" if most > least else ""))
        return Command(line, word, tuple(_unquote(w) for w in words))
    raise ValueError(f"unknown statement {word}")


def _first(rest: str, form: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    words = rest.split(None, 1)
    if not words:
        raise ValueError(f"write {form}")
    return words[0], words[1] if len(words) > 1 else ""


def _unquote(text: str) -> str:
    return text.strip('"')


def _call(text: str) -> Call:
    found = _ACTION.fullmatch(text.strip())
    if not found:
        raise ValueError("an action is NAME(PARAM:VALUE, …)")
    arguments = []
    for part in filter(None, (p.strip() for p in found[2].split(","))):
        name, colon, value = part.rpartition(":")
        if not colon:
            raise ValueError(f"an argument is PARAM:VALUE, not {part}")
        arguments.append((_unquote(name.strip()), value.strip()))
    return Call(_unquote(found[1]), tuple(arguments))


def _add(line: int, rest: str) -> Add:
    found = _ACTION.search(rest)
    if not found:
        raise ValueError("add ends with an action: NAME(PARAM:VALUE, …)")
    action = _call(found[0])
    table, keys = _first(rest[: found.start()], "add TABLE [PRIORITY] KEY:VALUE… ACTION(PARAM:VALUE, …)")
    words = re.sub(r"\s*:\s*", ":", keys).split()
    priority = None
    if words and ":" not in words[0]:
        priority = natural(words.pop(0))
    match = []
    for word in words:
        name, colon, value = word.rpartition(":")
        if not colon:
            raise ValueError(f"a match is KEY:VALUE, not {word}")
        match.append((_unquote(name), value))
    return Add(line, _unquote(table), priority, tuple(match), action)


def _check_counter(line: int, rest: str) -> CheckCounter:
    found = _COUNTER.fullmatch(rest)
    if not found:
        raise ValueError("check_counter NAME(INDEX) [packets|bytes OP NUMBER]")
    name, index, unit, operator, text = found.groups()
    return CheckCounter(line, _unquote(name), index, unit or "", operator or "==", number(text) if text else 0)
