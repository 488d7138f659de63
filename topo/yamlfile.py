"""YAML files whose errors name file, line and field."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from topo.errors import LabError
from topo.paths import shown

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]
"""The way to a field: keys and list positions, from the top."""


class FileError(LabError):
    """A file that cannot be used as it is."""


@dataclass(frozen=True)
class Source:
    """A file with the line of each field in it."""

    path: Path
    lines: Mapping[Place, int]

    def error(self, place: Sequence[str | int], problem: str) -> FileError:
        """The error to raise for ``problem`` at ``place``, or at the nearest field above that is in the file."""
        at = tuple(place)
        while at and at not in self.lines:
            at = at[:-1]
        line = self.lines.get(at, 1)
        field = ".".join(str(part) for part in place) or "the file"
        return FileError(f"{shown(self.path)}:{line}: {field}: {problem}")


def load(path: Path, model: type[Model]) -> tuple[Model, Source]:
    """Read ``path`` as ``model``. Raises FileError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise FileError(f"cannot read {shown(path)}: {reason}") from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Place, int] = {}
        _note_lines(tree, (), lines, path)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FileError(f"{shown(path)}:{line}: not YAML: {error.problem or error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else str(error).replace("\n", " ")
        raise FileError(f"{shown(path)}:1: not YAML: {reason}") from error
    source = Source(path, lines)
    if not isinstance(data, dict):
        raise source.error((), "must be a mapping of fields to values")
    try:
        return model.model_validate(data), source
    except ValidationError as invalid:
        first = invalid.errors()[0]
        place = tuple(part for part in first["loc"] if not (isinstance(part, str) and "[" in part))
        given = first["input"]
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = f"unknown field (known here: {', '.join(_fields_at(model, place[:-1]))})"
        elif isinstance(given, (str, int, float, bool)):
            problem += f" (it is {given!r})"
        raise source.error(place, problem) from invalid


def _note_lines(node: yaml.Node | None, place: Place, lines: dict[Place, int], path: Path) -> None:
    if node is None:
        return
    lines.setdefault(place, node.start_mark.line + 1)  # a mapping's field already has its key's line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = (*place, _scalar(key))
            if at in lines:
                line = key.start_mark.line + 1
                raise FileError(
                    f"{shown(path)}:{line}: {'.'.join(map(str, at))}: stands twice (also line {lines[at]})"
                )
            lines[at] = key.start_mark.line + 1
            _note_lines(value, at, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            _note_lines(value, (*place, position), lines, path)


def _scalar(node: yaml.Node) -> str | int:
    text = str(node.value)
    return int(text) if text.isdigit() else text


def _fields_at(model: type[BaseModel], place: Place) -> list[str]:
    """The field names that ``model`` knows at ``place``, following models in lists and mappings."""
    current: object = model
    for part in place:
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            current = info.annotation if info else None
        else:
            arguments = typing.get_args(current)
            current = arguments[-1] if arguments else None
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []
