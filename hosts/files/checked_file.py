"""Files that people write, read with care and checked against a model: cluster, topology and network files, keys.

Every error is one line that names the file, the line, the field, and what is wrong with its value. A file is read
only if it is one (no pipe, no device, no folder) and only up to a limit.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from hosts.files import strict_yaml
from hosts.files.strict_yaml import MAX_DEPTH, MAX_VALUES, Place, YamlFault, shortened

MAX_BYTES = 1 << 20
LONGEST_SHOWN = 400
"""Characters of an error's text; what a file holds may be longer."""

_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
"""Control characters, line breaks, byte-order marks and half characters."""
_IN_OUR_WORDS = {
    "missing": "this field is missing",
    "model_type": "expected fields and their values",
    "dataclass_type": "expected fields and their values",
    "tuple_type": "Input should be a valid list",
}
_UNKNOWN_FIELD = ("extra_forbidden", "unexpected_keyword_argument", "invalid_key")

Model = TypeVar("Model")


class FileFault(ValueError):
    """A file that cannot be used as it is: one line of text."""


class UnreadableFile(FileFault):
    """A file whose content nobody gets to see."""


def read_bytes(path: str | Path, limit: int = MAX_BYTES, name: str | None = None) -> bytes:
    """The content of a file of at most ``limit`` bytes, which errors call ``name``. Raises UnreadableFile."""
    name = _one_line(str(path)) if name is None else name
    try:
        # Opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have such a name"
        raise UnreadableFile(f"{name}: cannot be read: {reason}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
            raise UnreadableFile(f"{name}: cannot be read: it is {kind}, not a file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UnreadableFile(f"{name}: cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise UnreadableFile(f"{name}: cannot be read: it is longer than {limit:,} bytes, the most that is taken")
    return content


def read_text(path: str | Path, name: str | None = None) -> str:
    """The UTF-8 text of a file, which errors call ``name``, without a byte-order mark. Raises UnreadableFile."""
    name = _one_line(str(path)) if name is None else name
    content = read_bytes(path, name=name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise UnreadableFile(f"{name}:{line}: cannot be read: not UTF-8 text (byte 0x{byte:02x})") from error


@dataclass(frozen=True)
class Document:
    """What a file holds, before anybody has looked at its fields. ``lines``: the line of each place, with keys and
    positions as text; none of a JSON file."""

    name: str
    data: Any
    lines: Mapping[Place, int] = field(default_factory=dict)

    @classmethod
    def of_yaml(cls, text: str, name: str) -> Document:
        """Raises FileFault."""
        try:
            data, lines = strict_yaml.read(text)
        except YamlFault as fault:
            raise FileFault(_sentence(f"{name}:{fault.line}", fault.place, str(fault))) from fault
        document = cls(name, data, lines)
        _check_words(data, (), document)
        return document

    @classmethod
    def of_json(cls, text: str, name: str) -> Document:
        """Raises FileFault."""
        try:
            pairs = json.loads(text, object_pairs_hook=_Pairs, parse_int=_whole_number)
        except json.JSONDecodeError as error:
            raise FileFault(f"{name}:{error.lineno}: not JSON: {error.msg} (column {error.colno})") from error
        except RecursionError as error:
            raise FileFault(f"{name}: not JSON: nested more than {MAX_DEPTH} deep") from error
        empty = cls(name, None)
        return cls(name, _without_pairs(pairs, (), empty, [MAX_VALUES]))

    def fault(self, place: Sequence[str | int], problem: str) -> FileFault:
        """The error to raise for ``problem`` at ``place``, with the line of the nearest place that is in the file."""
        at = tuple(map(str, place))
        while at and at not in self.lines:
            at = at[:-1]
        where = f"{self.name}:{self.lines[at]}" if at in self.lines else self.name
        return FileFault(_sentence(where, place, problem))

    def check(self, model: type[Model]) -> Model:
        """The content as ``model``, a pydantic model or a dataclass. Raises FileFault, for the first mistake."""
        if not isinstance(self.data, dict):
            kind = "nothing" if self.data is None else f"a {type(self.data).__name__}"
            raise self.fault((), f"expected fields and their values, found {kind}")
        try:
            return TypeAdapter(model).validate_python(self.data)
        except ValidationError as invalid:
            # A misspelt field is both unknown and missing; the unknown one has a line.
            problems = sorted(
                invalid.errors(include_url=False, include_context=False),
                key=lambda problem: problem["type"] == "missing",
            )
            place, text = _explained(model, problems[0])
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise self.fault(place, text + more) from invalid


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with all its keys, also those that are there twice."""


def _whole_number(text: str) -> int | float:
    """Numbers of any length are JSON; one of so many digits is more than any field takes, exact or not."""
    return int(text) if len(text) <= 21 else float(text)


def _without_pairs(value: Any, place: Place, document: Document, left: list[int]) -> Any:
    """``value`` with dicts for objects. ``left`` counts down how many values it may have."""
    left[0] -= 1
    if left[0] < 0:
        raise document.fault(place, f"more than {MAX_VALUES:,} values")
    if len(place) > MAX_DEPTH:
        raise document.fault(place[:1], f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, _Pairs):
        content: dict[str, Any] = {}
        for key, inner in value:
            _check_words(key, place, document)
            if key in content:
                raise document.fault((*place, key), "stands twice")
            content[key] = _without_pairs(inner, (*place, key), document, left)
        return content
    if isinstance(value, list):
        return [_without_pairs(inner, (*place, number), document, left) for number, inner in enumerate(value)]
    _check_words(value, place, document)
    return value


def _check_words(value: Any, place: Place, document: Document) -> None:
    """Names, addresses and paths are what files hold: no field is for line breaks, NUL or half a character."""
    if isinstance(value, str):
        found = _REFUSED.search(value)
        if found is not None:
            raise document.fault(place, f"holds the control character U+{ord(found[0]):04X}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_words(key, place, document)
            _check_words(inner, (*place, key), document)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _check_words(inner, (*place, number), document)


def _explained(model: object, problem: Any) -> tuple[Place, str]:
    """The place and a sentence of what pydantic found."""
    # Parts in brackets are pydantic's: which key, which kind of a union.
    place = tuple(part for part in problem["loc"] if not (isinstance(part, str) and part.startswith("[")))
    if problem["type"] in _UNKNOWN_FIELD:
        return place, f"unknown field; known are {', '.join(_fields_at(model, place[:-1]))}"
    text = _IN_OUR_WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    given = problem["input"]
    if problem["type"] == "missing" or repr(given) in text:
        return place, text
    names = {type(None): "empty", list: "a list", dict: "a mapping"}
    return place, f"{text} (it is {names.get(type(given)) or shortened(repr(given), 40)})"


def _fields_at(model: object, place: Place) -> Iterator[str]:
    """The fields that ``model`` knows at ``place``, following models in lists and mappings."""
    current = model
    for part in place:
        fields = _fields(current)
        if fields is not None:
            current = fields.get(str(part))
        else:
            inner = [kind for kind in typing.get_args(current) if kind not in (Ellipsis, type(None))]
            current = inner[-1] if inner else None
    yield from _fields(current) or {}


def _fields(model: object) -> dict[str, Any] | None:
    """The fields of a model with their types; None for what is no model."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return {name: known.annotation for name, known in model.model_fields.items()}
    if isinstance(model, type) and dataclasses.is_dataclass(model):
        kinds = typing.get_type_hints(model)
        return {known.name: kinds[known.name] for known in dataclasses.fields(model)}
    return None


def _sentence(where: str, place: Sequence[str | int], problem: str) -> str:
    """One line, however long or odd the words of the file are."""
    named = ".".join(_named(str(part)) for part in place)
    return _one_line(f"{where}: {named}{': ' if named else ''}{shortened(problem, LONGEST_SHOWN)}")


def _named(part: str) -> str:
    """A place's part; in quotes where its ends could not be seen else."""
    text = shortened(part, 64)
    return text if part and part == part.strip() else f"'{text}'"


def _one_line(text: str) -> str:
    """``text`` with escapes for what cannot be seen or would end the line."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
