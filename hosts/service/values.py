"""Typed values: what clients store and read back, exactly as they stored it.

A value is None, a bool, an int of any size, a float, a str, bytes, a list or a map of such values; a tuple counts as
a list. On the wire and in the log it is msgpack. Integers outside msgpack's 64 bits travel as extension type 1:
two's complement, big-endian, as many bytes as needed.

For people and programs that read JSON, ``to_json`` keeps what JSON has and tags the rest, so that ``from_json`` gives
back the same value: bytes are ``{"$bytes": "<hex>"}``, NaN and the infinities ``{"$float": "nan" | "inf" | "-inf"}``,
integers too long for Python's decimal printing ``{"$int": "0x..."}``, and maps whose keys are not all strings, or
that have a key beginning with ``$``, ``{"$map": [[key, value], ...]}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeAlias

import msgpack

Value: TypeAlias = Any
"""None, bool, int, float, str, bytes, list or dict of values; the type checker cannot say it more narrowly."""

MAX_VALUE_BYTES = 8 << 20
"""Bytes of one encoded value; of one that is bytes itself, which costs no time to look through: MAX_LARGE_BYTES."""

MAX_LARGE_BYTES = (64 << 20) + 4096
"""The limit holds for one encoded key and value together, too."""

MAX_DEPTH = 100
"""Lists and maps inside one another; deeper ones are refused, on encoding and on decoding."""

MAX_CONTAINERS = 200_000
"""Lists and maps in one value, itself included: what bounds the time and memory that any bytes can cost."""

_BIG_INT = 1
_LONG_INT_BITS = 4096


class _Pairs(list[tuple[Any, Any]]):
    """A map's keys and values, of which no map is made."""


class ValueFault(ValueError):
    """A value that cannot be stored, or bytes that are no value; the text says why."""


def encode(value: Value) -> bytes:
    """The value as msgpack. Raises ValueFault for other types, unhashable map keys, too deep or too large values."""
    try:
        data = _pack(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Either a type that msgpack asks about, or one it refuses: look closer, which costs time only here.
        data = _pack(_prepare(value, 0))
    else:
        if type(value) not in _PLAIN:
            _Checker().check(value)
    most = MAX_LARGE_BYTES if isinstance(value, bytes) else MAX_VALUE_BYTES
    if len(data) > most:
        raise too_large(len(data), most)
    return data


def decode(data: bytes | memoryview) -> Value:
    """The inverse of encode. Raises ValueFault for bytes that encode would not have written."""
    hooks: dict[str, Any] = {}
    if len(data) > MAX_CONTAINERS:
        limit = _limited_list()
        hooks = {"list_hook": limit, "object_hook": limit}
    try:
        value = msgpack.unpackb(
            data, strict_map_key=False, ext_hook=extension, unicode_errors="surrogatepass", **hooks
        )
    except ValueFault:
        raise
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueFault(f"not a value: {error or type(error).__name__}") from error
    if type(value) not in _PLAIN:
        _Checker().check(value)
    return value


def shown(data: bytes | memoryview) -> tuple[str, Any]:
    """The type's name and ``to_json`` of a value that has been checked. No map is made of keys that somebody may have
    chosen so that each collides with all others. Raises ValueFault for what is surely no value."""
    try:
        value = msgpack.unpackb(
            data,
            strict_map_key=False,
            ext_hook=extension,
            unicode_errors="surrogatepass",
            object_pairs_hook=_Pairs,
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueFault(f"not a value: {error or type(error).__name__}") from error
    return describe_type(value), to_json(value)


def parse_text(text: str) -> Value:
    """JSON if it parses, else the text itself as a str. Integers keep every digit; NaN and Infinity are no JSON.
    Raises ValueFault for what begins as JSON and is nested too deep to be read."""
    try:
        return json.loads(text, parse_int=_parse_int, parse_constant=_refuse_constant)
    except ValueError:
        return text
    except RecursionError:
        raise too_deep() from None


def to_json(value: Value) -> Any:
    """The value in terms of JSON, with tags for what JSON lacks (see the module's text)."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": value.hex()}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() <= _LONG_INT_BITS else {"$int": hex(value)}
    if isinstance(value, _Pairs):
        return _map_to_json(value)
    if isinstance(value, (list, tuple)):
        return list(value) if _JSON_ALIKE.issuperset(map(type, value)) else [to_json(item) for item in value]
    if isinstance(value, dict):
        return _map_to_json(_Pairs(value.items()))
    return value


def _map_to_json(pairs: _Pairs) -> Any:
    if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
        return {key: to_json(item) for key, item in pairs}
    return {"$map": [[to_json(key), to_json(item)] for key, item in pairs]}


def from_json(tree: Any) -> Value:
    """The inverse of to_json. Raises ValueFault for tags that to_json does not write."""
    if isinstance(tree, list):
        return [from_json(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) == 1:
        (tag, content), *_ = tree.items()
        if tag.startswith("$"):
            return _untag(tag, content)
    return {key: from_json(item) for key, item in tree.items()}


def describe_type(value: Value) -> str:
    """The type's name as people say it: int, str, bytes, list, map, ..."""
    if value is None:
        return "null"
    return "map" if isinstance(value, (dict, _Pairs)) else type(value).__name__


def _untag(tag: str, content: Any) -> Value:
    try:
        if tag == "$bytes":
            return bytes.fromhex(content)
        if tag == "$float":
            return float(content)
        if tag == "$int":
            return int(content, 16)
        if tag == "$map":
            return {from_json(key): from_json(item) for key, item in content}
    except (TypeError, ValueError) as error:
        raise ValueFault(f"{tag} with a content that does not fit: {error}") from error
    raise ValueFault(f"unknown tag {tag}")


def _ask(value: Any) -> Any:
    """Called by msgpack for what it cannot pack by itself."""
    if isinstance(value, int):
        return msgpack.ExtType(_BIG_INT, _int_bytes(value))
    raise ValueFault(f"a {type(value).__name__} cannot be stored; use {_TYPES}")


_TYPES = "int, float, str, bytes, bool, None, lists and maps"
_KEPT_BUFFER_BYTES = 64 << 10
_PACKERS: list[msgpack.Packer] = []
"""Packers that nobody uses at the moment."""


def _pack(value: Any) -> bytes:
    """The value as msgpack. A packer is one call's alone: while it packs, ``_ask`` or a method of the value may let
    another thread run, whose bytes would else be mixed with these."""
    try:
        packer = _PACKERS.pop()
    except IndexError:
        packer = msgpack.Packer(default=_ask, use_bin_type=True, unicode_errors="surrogatepass", autoreset=True)
    data = bytes(packer.pack(value))
    if len(data) <= _KEPT_BUFFER_BYTES:
        _PACKERS.append(packer)
    return data


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(_int_size(value), "big", signed=True)


def _int_size(value: int) -> int:
    return value.bit_length() // 8 + 1


def _fits_msgpack(value: int) -> bool:
    return -(2**63) <= value < 2**64


def _prepare(value: Value, depth: int) -> Any:
    """A copy that msgpack packs without questions; the slow way, which also finds out what is wrong."""
    if depth > MAX_DEPTH:
        raise too_deep()
    if value is None or isinstance(value, (bool, float, str, bytes)):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, int):
        if _fits_msgpack(value):
            return value
        if value.bit_length() // 8 > MAX_VALUE_BYTES:
            raise ValueFault(f"an integer of more than {MAX_VALUE_BYTES} bytes cannot be stored")
        return msgpack.ExtType(_BIG_INT, _int_bytes(value))
    if isinstance(value, (list, tuple)):
        return [_prepare(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_prepare(_key(key), depth + 1): _prepare(item, depth + 1) for key, item in value.items()}
    raise ValueFault(f"a {type(value).__name__} cannot be stored; use {_TYPES}")


def _key(key: Value) -> Value:
    if isinstance(key, (tuple, frozenset)):
        raise bad_key()
    return key


class _Checker:
    """Refuses depth, too many containers, tuples as keys and msgpack's own extra types. Plain items cost next to
    nothing: their types are looked at all at once."""

    def __init__(self) -> None:
        self._left = MAX_CONTAINERS

    def check(self, value: Value, depth: int = 0) -> None:
        if isinstance(value, msgpack.ExtType):  # which is a tuple, too
            raise ValueFault(f"extension types cannot be stored; use {_TYPES}")
        if isinstance(value, (list, tuple)):
            self._enter(depth)
            self._check_items(value, depth)
        elif isinstance(value, dict):
            self._enter(depth)
            for key in () if _PLAIN.issuperset(map(type, value)) else value:
                self.check(_key(key), depth + 1)
            self._check_items(value.values(), depth)
        elif value is not None and not isinstance(value, (int, float, str, bytes, bytearray)):
            raise ValueFault(f"a {type(value).__name__} cannot be stored; use {_TYPES}")

    def _enter(self, depth: int) -> None:
        self._left -= 1
        if depth >= MAX_DEPTH:
            raise too_deep()
        if self._left < 0:
            raise too_many()

    def _check_items(self, items: Iterable[Value], depth: int) -> None:
        if not _PLAIN.issuperset(map(type, items)):
            for item in items:
                if type(item) not in _PLAIN:
                    self.check(item, depth + 1)


_JSON_ALIKE = frozenset({type(None), bool, str})
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})


def too_large(size: int, most: int) -> ValueFault:
    """For an encoded value of ``size`` bytes."""
    return ValueFault(f"the value takes {size} bytes; at most {most} are possible")


def too_deep() -> ValueFault:
    """For lists and maps deeper than MAX_DEPTH."""
    return ValueFault(f"lists and maps deeper than {MAX_DEPTH} cannot be stored")


def too_many() -> ValueFault:
    """For more than MAX_CONTAINERS lists and maps."""
    return ValueFault(f"more than {MAX_CONTAINERS} lists and maps in one value cannot be stored")


def bad_key() -> ValueFault:
    """For a list, a map or a tuple as a map's key."""
    return ValueFault("a map's key must be a str, int, float, bytes, bool or None")


def _limited_list() -> Callable[[list[Any]], list[Any]]:
    """A hook that lets so many lists pass and no more, so that hostile bytes do not swell into gigabytes."""
    count = 0

    def pass_on(made: list[Any]) -> list[Any]:
        nonlocal count
        count += 1
        if count > MAX_CONTAINERS:
            raise too_many()
        return made

    return pass_on


def extension(code: int, data: bytes) -> Value:
    """The integer that an extension type stands for. Raises ValueFault for another type, or one that ``encode`` does
    not write."""
    if code != _BIG_INT or not data:
        raise ValueFault(f"unknown extension type {code}")
    value = int.from_bytes(data, "big", signed=True)
    if _fits_msgpack(value) or _int_size(value) != len(data):
        raise ValueFault("an integer that is longer than it needs to be")
    return value


def _parse_int(digits: str) -> int:
    # Decimal has no limit on the number of digits, as int has.
    return int(digits) if len(digits) < 1000 else int(Decimal(digits))


def _refuse_constant(name: str) -> Value:
    raise ValueError(f"{name} is not JSON")
