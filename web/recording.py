"""The file of a run: a header, then events in the order of time, each a line of JSON; compressed with gzip.

docs/recordings.md says what the fields mean. ``Writer`` and ``read`` check every event against the table ``KINDS``.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from topo.errors import LabError

FORMAT = "switchraft recording"
VERSION = 1

Event = Mapping[str, Any]
Test = Callable[[Any], bool]


class RecordingError(LabError):
    """A file that is no recording, or one with an event that does not fit; its text names the line."""


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _array(value: Any) -> bool:
    return isinstance(value, list)


_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def _bytes(value: Any) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


_HOP = re.compile(r"\S+ \d+ \d+ (?:-|\d+:[0-9a-f]+(?:,\d+:[0-9a-f]+)*) (?:-|\d+(?:,\d+)*)")


def _hops(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(hop, str) and _HOP.fullmatch(hop) for hop in value)


def _entries(value: Any) -> bool:
    """[term, kind, what], a log's entries."""
    return isinstance(value, list) and all(
        isinstance(one, list) and len(one) == 3 and _whole(one[0]) and _name(one[1]) and _text(one[2])
        for one in value
    )


_OPERATIONS = ("insert", "modify", "delete")


def _operation(value: Any) -> bool:
    return value in _OPERATIONS


_ORIGINS = ("hand", "found")


def _origin(value: Any) -> bool:
    return value in _ORIGINS


def _match(value: Any) -> bool:
    """Of each key field a number, or [value, prefix length]."""
    return isinstance(value, list) and all(
        _whole(one) or (isinstance(one, list) and len(one) == 2 and all(map(_whole, one))) for one in value
    )


def _cells(value: Any) -> bool:
    """[name, index, number, ...]; of registers a number may be text, or "now"."""
    return isinstance(value, list) and all(
        isinstance(one, list)
        and len(one) >= 3
        and _name(one[0])
        and all(
            _whole(number) or (isinstance(number, str) and (number.isdigit() or number == "now"))
            for number in one[1:]
        )
        for one in value
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """What an event of a kind holds beside its time."""

    needs: Mapping[str, Test]
    may: Mapping[str, Test]


def _kind(needs: Mapping[str, Test], **may: Test) -> Kind:
    return Kind(needs, may)


KINDS: Mapping[str, Kind] = {
    "member": _kind({"who": _name, "group": _whole, "set": _object}, heard=_flag),
    "log": _kind({"who": _name, "group": _whole, "at": _whole, "entries": _entries}),
    "sent": _kind({"who": _name, "m": _whole, "frame": _bytes}, to=_name, hostile=_flag, again=_flag, size=_whole),
    "passed": _kind({"m": _whole, "hops": _hops}),
    "received": _kind({"who": _name, "m": _whole}, copy=_flag, astray=_flag),
    "dropped": _kind({"who": _name, "m": _whole, "why": _name}),
    "way": _kind({"id": _whole, "steps": _array}),
    "switch": _kind({"who": _name, "up": _flag}),
    "table": _kind({"who": _name, "table": _name, "do": _operation, "match": _match}, action=_name, values=_array),
    "registers": _kind({"who": _name, "set": _cells}),
    "counters": _kind({"who": _name, "set": _cells}),
    "controller": _kind({"who": _name}, text=_name, set=_object),
    "call": _kind(
        {"who": _name, "call": _whole, "host": _name, "port": _whole, "group": _whole, "operation": _name},
        key=_text,
        value=_text,
    ),
    "answer": _kind({"who": _name, "call": _whole, "outcome": _name}, value=_text, session=_whole, sequence=_whole),
    "fault": _kind({"fault": _whole, "what": _name}, us=_whole, by=_origin, on=_text),
    "healed": _kind({"fault": _whole}),
    "note": _kind({"who": _name, "text": _text}),
    "sampled": _kind({"told": _whole, "of": _whole}),
    "broken": _kind({"rule": _name, "text": _text}, group=_whole),
    "end": _kind({"text": _text}, hash=_text),
}
"""Every kind of event; each has ``t``, microseconds, and ``k``, its kind, as well."""

HEADER: Mapping[str, Test] = {
    "format": _name,
    "version": _whole,
    "title": _name,
    "source": _name,
    "network": _object,
    "program": lambda value: value is None or isinstance(value, dict),
}
"""What the first line must hold; it may hold more."""


def fault_of(event: Any, after: int = 0) -> str:
    """What is wrong with an event that comes after time ``after``; "" if nothing is."""
    if not isinstance(event, Mapping):
        return "it is no object"
    if not _whole(event.get("t")):
        return "its time t is no number of microseconds"
    if event["t"] < after:
        return f"its time {event['t']} lies before {after}"
    kind = KINDS.get(event.get("k", ""))
    if kind is None:
        return f"there is no kind {event.get('k')!r}"
    for name, test in kind.needs.items():
        if name not in event:
            return f"a {event['k']} needs {name}"
        if not test(event[name]):
            return f"{name} of a {event['k']} is {event[name]!r}"
    for name, value in event.items():
        if name in ("t", "k") or name in kind.needs:
            continue
        if name not in kind.may:
            return f"a {event['k']} has no {name}"
        if not kind.may[name](value):
            return f"{name} of a {event['k']} is {value!r}"
    return ""


def fault_of_header(header: Any) -> str:
    """What is wrong with a recording's first line; "" if nothing is."""
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        return f"it does not begin as a {FORMAT} does"
    if header.get("version") != VERSION:
        return f"it is of version {header.get('version')}, and this program reads version {VERSION}: record it again"
    return next((f"{name} is missing or wrong" for name, test in HEADER.items() if not test(header.get(name))), "")


@dataclass(frozen=True, slots=True)
class Hop:
    """A message at a switch. ``patch``: where the frame that came in differs from the one that was sent."""

    switch: str
    port: int
    way: int
    patch: tuple[tuple[int, bytes], ...]
    values: tuple[int, ...]

    def frame(self, sent: bytes) -> bytes:
        """The frame that came in."""
        return patched(sent, self.patch)


def patched(sent: bytes, patch: Iterable[tuple[int, bytes]]) -> bytes:
    """A frame with a patch, which makes the checksum of the IPv4 header right unless it names that itself."""
    frame = bytearray(sent)
    patch = list(patch)
    for offset, piece in patch:
        if offset == 0 and len(piece) > MAC_BYTES:
            return piece
        frame[offset : offset + len(piece)] = piece
    names_checksum = any(offset <= CHECKSUM_AT + 1 and offset + len(piece) > CHECKSUM_AT for offset, piece in patch)
    if patch and not names_checksum and len(frame) >= 34:
        frame[CHECKSUM_AT : CHECKSUM_AT + 2] = ipv4_checksum(frame[14:34]).to_bytes(2, "big")
    return bytes(frame)


def patch_of(sent: bytes, now: bytes) -> list[tuple[int, bytes]]:
    """Where a frame differs from what was sent: offsets and bytes. A frame of another length is named as a whole."""
    if sent == now:
        return []
    if len(sent) != len(now):
        return [(0, now)]
    found: list[tuple[int, bytes]] = []
    at, end = 0, PAYLOAD_AT if sent[PAYLOAD_AT:] == now[PAYLOAD_AT:] else len(sent)
    while at < end:
        if sent[at] == now[at]:
            at += 1
            continue
        start = at
        while at < end and sent[at : at + 3] != now[at : at + 3]:
            at += 1
        found.append((start, now[start:at]))
    shorter = [piece for piece in found if not CHECKSUM_AT <= piece[0] <= CHECKSUM_AT + 1]
    shorter = [
        (offset, piece[: CHECKSUM_AT - offset] if offset < CHECKSUM_AT else piece) for offset, piece in shorter
    ]
    shorter = [
        (offset, piece.removesuffix(now[23:24])) if offset == 22 else (offset, piece) for offset, piece in shorter
    ]
    return shorter if patched(sent, shorter) == now else found


def ipv4_checksum(header: bytes | bytearray) -> int:
    """Of 20 bytes; what stands for the checksum itself does not count."""
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, 20, 2) if at != 10)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


CHECKSUM_AT = 24
PAYLOAD_AT = 42
"""Behind the headers of Ethernet, IPv4 and UDP."""
MAC_BYTES = 12
"""A patch at offset 0 that is longer than both addresses of Ethernet is the whole frame."""


def hop_text(
    switch: str, port: int, way: int, patch: Iterable[tuple[int, bytes]], values: Iterable[int | str]
) -> str:
    """A hop as recordings write it: one text, of which a page has a hundred thousand."""
    pieces = ",".join(f"{offset}:{piece.hex()}" for offset, piece in patch)
    return f"{switch} {port} {way} {pieces or '-'} {','.join(map(str, values)) or '-'}"


def read_hop(text: str) -> Hop:
    """The inverse of ``hop_text``."""
    switch, port, way, patch, values = text.split(" ")
    pieces = [piece.split(":") for piece in patch.split(",")] if patch != "-" else []
    return Hop(
        switch,
        int(port),
        int(way),
        tuple((int(offset), bytes.fromhex(piece)) for offset, piece in pieces),
        tuple(map(int, values.split(","))) if values != "-" else (),
    )


class Writer:
    """Writes a recording. ValueError for an event that does not fit, OSError with its name if it is not written."""

    def __init__(self, file: Path, header: Mapping[str, Any]) -> None:
        """Raises OSError."""
        header = {"format": FORMAT, "version": VERSION, **header}
        wrong = fault_of_header(header)
        if wrong:
            raise ValueError(wrong)
        # No name and no time inside: equal runs are equal files.
        self._name = str(file)
        self._raw = open(file, "wb")  # noqa: SIM115
        self._file = gzip.GzipFile("", "wb", 6, self._raw, mtime=0)
        self._last = 0
        self.events = 0
        self._line(header)

    def write(self, event: Event) -> None:
        """Add an event, no earlier than the one before."""
        wrong = fault_of(event, self._last)
        if wrong:
            raise ValueError(f"{wrong}: {event}")
        self._last = event["t"]
        self.events += 1
        self._line(event)

    def _line(self, value: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            error.filename = self._name
            raise

    def close(self) -> None:
        try:
            try:
                self._file.close()
            finally:
                self._raw.close()
        except OSError as error:
            error.filename = self._name
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording in memory."""

    header: Mapping[str, Any]
    events: list[Event]


def read(file: Path) -> Recording:
    """A recording, every event of it checked. Raises RecordingError."""
    header, events = _checked(file, _lines(file))
    return Recording(header, events)


def _checked(file: Path, lines: Iterator[Any]) -> tuple[Mapping[str, Any], list[Event]]:
    """Header and events. Raises RecordingError."""
    header = next(lines, None)
    wrong = fault_of_header(header)
    if wrong:
        raise RecordingError(f"{file} is no recording: {wrong}")
    events: list[Event] = []
    last = 0
    for number, event in enumerate(lines, start=2):
        wrong = fault_of(event, last)
        if wrong:
            raise RecordingError(f"{file}, line {number}: {wrong}")
        last = event["t"]
        events.append(event)
    assert isinstance(header, dict)
    return header, events


def whole(file: Path) -> tuple[bytes, int]:
    """A recording as gzip packs it, every event of it checked, and 0; of one whose last line alone is cut, as that of
    a run that was killed, what is before that line, and the line's number. Raises RecordingError."""
    packed = _packed(file)
    text, ends = _unpacked(file, packed)
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    last_is_whole = bool(lines) and _is_json(lines[-1])
    cut = 0 if ends and last_is_whole else len(lines) + last_is_whole
    kept = lines[: cut - 1] if cut else lines
    _checked(file, _parsed(file, kept))
    return (gzip.compress(b"\n".join(kept) + b"\n", mtime=0), cut) if cut else (packed, 0)


def _packed(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RecordingError(f"{file}: {error.strerror or error}") from None


def _unpacked(file: Path, packed: bytes) -> tuple[bytes, bool]:
    """What a file of gzip holds, and whether it is there to its end. Raises RecordingError."""
    if packed[:2] != b"\x1f\x8b":
        raise RecordingError(f"{file} is no recording: it is not compressed with gzip")
    text, ends, rest = b"", True, packed
    try:
        while rest:
            unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            text += unpacking.decompress(rest)
            ends, rest = unpacking.eof, unpacking.unused_data.lstrip(b"\0")
    except zlib.error:
        number = len(text.splitlines())
        raise RecordingError(f"{file} is damaged after line {number}: record it again") from None
    return text, ends


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parsed(file: Path, lines: Iterable[bytes]) -> Iterator[Any]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):  # noqa: B007
            yield json.loads(line)
    except ValueError:
        raise RecordingError(f"{file}, line {number}: no JSON") from None


def _lines(file: Path) -> Iterator[Any]:
    number = 0
    try:
        raw: IO[bytes]
        with open(file, "rb") as raw, gzip.open(raw) as lines:
            for number, line in enumerate(lines, start=1):  # noqa: B007
                yield json.loads(line)
    except gzip.BadGzipFile:
        raise RecordingError(f"{file} is no recording: it is not compressed with gzip") from None
    except (EOFError, zlib.error):
        raise RecordingError(f"{file} is cut short or damaged after line {number}: record it again") from None
    except ValueError:
        raise RecordingError(f"{file}, line {number}: no JSON") from None
    except OSError as error:
        raise RecordingError(f"{file}: {error.strerror or error}") from None
