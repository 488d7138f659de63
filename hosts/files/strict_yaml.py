"""YAML as far as all its readers agree on it: mappings, lists, words, decimal numbers, true, false and null.

YAML 1.1 reads ``010`` as 8, ``1:30`` as 90 and ``no`` as false, YAML 1.2 does not; readers of both keep the last of
two equal keys without a word. Here whatever two readers may understand differently is an error that says so, and a
file cannot make its reader work for long: depth, number of values and what aliases repeat are bounded.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""The way to a value: keys and list positions, from the top."""

MAX_DEPTH = 16
MAX_VALUES = 50_000
"""How many values a file may have; those that aliases repeat are counted each time."""

_TAG = "tag:yaml.org,2002:"
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,19}")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_NUMBER_SINCE_1_2 = re.compile(r"0o[0-7]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
_REFUSED = {
    "int": "write the number in plain decimal digits, or quote what is no number",
    "float": "write the number in plain decimal digits, or quote what is no number",
    "bool": "some readers of YAML take it for true or false: write that, or quote the word",
    "timestamp": "some readers of YAML take it for a date: quote it",
    "merge": "merged mappings are not read here: write the fields out",
    "value": "quote it",
}


class YamlFault(ValueError):
    """What makes a text unusable. ``line`` counts from 1; ``place`` is as deep as it is known."""

    def __init__(self, line: int, problem: str, place: Place = ()) -> None:
        super().__init__(problem)
        self.line = line
        self.place = place


def read(text: str) -> tuple[Any, dict[Place, int]]:
    """The content of a YAML text, and the line of each value in it; in a mapping, the line of its key. Places there
    have keys as text. Raises YamlFault."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be understood"
        tab = "; indent with spaces" if "'\\t'" in problem else ""
        raise YamlFault(mark.line + 1 if mark else 1, f"not YAML: {problem}{tab}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlFault(line, f"not YAML: character U+{ord(text[error.position]):04X} cannot be in it") from error
    except YamlFault:
        raise
    except (ValueError, OverflowError) as error:  # of chr(): PyYAML does not look how large an escape is
        line = loader.line + 1 if loader is not None else 1
        raise YamlFault(line, "not YAML: an escape stands for no character") from error
    building = _Building()
    return (None if node is None else building.value(node, ())), building.lines


class _Loader(yaml.SafeLoader):
    """PyYAML up to its tree of nodes; what it would make of them is not asked."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = shortened(tag.replace(_TAG, "!!"), 40)
            raise YamlFault(line, f"the tag {shown} is not read here: write the value without it")
        if self.depth == MAX_DEPTH:  # deeper, PyYAML takes time by the square of the depth
            raise YamlFault(line, f"nested more than {MAX_DEPTH} deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Building:
    """Makes data of nodes. ``lines`` is what ``read`` returns as such."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self._left = MAX_VALUES
        self._open: set[int] = set()

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = self.lines.setdefault(place, node.start_mark.line + 1)
        self._left -= 1
        if self._left < 0:
            raise YamlFault(line, f"more than {MAX_VALUES:,} values, counting what aliases repeat", place)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, place)
        if id(node) in self._open:
            raise YamlFault(line, "an alias stands inside the value that it repeats", place)
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            content: Any = self._mapping(node, place)
        else:
            content = [self.value(item, (*place, str(position))) for position, item in enumerate(node.value)]
        self._open.remove(id(node))
        return content

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str | int, Any]:
        content: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _key(key_node, place)
            at = (*place, str(key))
            if at in self.lines:  # also for "1" beside 1: fields and members have one name each
                raise YamlFault(line, f"stands twice, first in line {self.lines[at]}", at)
            self.lines[at] = line
            content[key] = self.value(value_node, at)
        return content


def _key(node: yaml.Node, place: Place) -> str | int:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise YamlFault(line, "a key must be a word or a number, not a list or mapping", place)
    key = _scalar(node, (*place, node.value))
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        at = (*place, node.value)
        raise YamlFault(line, "a key must be a word or a whole number; quote it if it is a word", at)
    return key


def _scalar(node: yaml.ScalarNode, place: Place) -> Any:
    """Words that are quoted, or that are text to every reader, as they are; the rest by their one meaning."""
    text, kind = str(node.value), str(node.tag).removeprefix(_TAG)
    if node.style is not None:
        return text
    if _NUMBER_SINCE_1_2.fullmatch(text):
        kind = "float"
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and _NUMBER.fullmatch(text):
        return int(text)
    if kind == "float" and _FRACTION.fullmatch(text):
        return float(text)
    raise YamlFault(node.start_mark.line + 1, f"{shortened(repr(text), 40)}: {_REFUSED[kind]}", place)


def shortened(text: str, length: int) -> str:
    """``text``, or its beginning and end where it has more than ``length`` characters."""
    return text if len(text) <= length else f"{text[: length // 2]} ... {text[-length // 2 :]}"
