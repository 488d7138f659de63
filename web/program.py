"""What a recording says of the switches' program: its text, and by position what ways name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from controller.desired import FEATURES
from controller.names import DropReason
from p4switch.program import Action, Program, Source
from p4switch.trace.events import Place
from p4switch.trace.journey import QUIET, where

Json = dict[str, Any]


def describe(program: Program, places: Sequence[Place]) -> Json:
    """The header's ``program``, for the fields of a traced build."""
    conditions = [one.source for control in (program.ingress, program.egress) for one in control.conditionals]
    tables = list(program.tables.values())
    sources = [*conditions, *(table.source for table in tables), *map(_source, program.actions.values())]
    states = program.parser.states
    return {
        "files": _files([*sources, *(state.source for state in states)]),
        "states": [{"name": state.name, **_place(state.source)} for state in states],
        "conditions": [{"text": one.text, **_place(one)} for one in conditions],
        "tables": [
            {
                "name": table.name,
                **_place(table.source),
                "key": [
                    {"name": key.name, "field": ".".join(key.target), "width": key.width, "match": key.kind}
                    for key in table.key
                ],
            }
            for table in tables
        ],
        "actions": [_action(action) for action in actions(program)],
        "fields": [[place.name, place.width] for place in places],
        "headers": {
            name: [[one.name, one.width] for one in program.header_types[header.type].fields]
            for name, header in program.headers.items()
            if not header.metadata
        },
        "reasons": [reason.name.lower() for reason in DropReason],
        "features": {feature.name: list(feature.tables) for feature in FEATURES},
        "registers": list(program.registers),
        "counters": [name for name, counter in program.counters.items() if counter.size],
    }


def actions(program: Program) -> list[Action]:
    """A program's actions, in the order of ``actions`` in a recording."""
    return [program.actions[id] for id in sorted(program.actions)]


def is_told(place: Place) -> bool:
    """Whether a field says something about the program: clocks, paddings and compilers' variables do not."""
    return QUIET.search(place.name) is None


def _action(action: Action) -> Json:
    return {
        "name": action.name,
        "text": where(action).rsplit(" (", 1)[0],
        **_place(_source(action)),
        "params": [param.name for param in action.params],
    }


def _source(action: Action) -> Source:
    """Where an action stands; of one that the compiler made, where its first statement does."""
    if action.source.line:
        return action.source
    for primitive in action.primitives:
        info: Mapping[str, Any] = primitive.get("source_info") or {}
        if info:
            return Source(str(info["filename"]), int(info["line"]))
    return Source()


def _place(source: Source) -> Json:
    return {"file": Path(source.file).name, "line": source.line}


def _files(sources: Iterable[Source]) -> dict[str, str]:
    """The text of the files that sources are in, by name."""
    paths = {Path(source.file) for source in sources if source.line}
    folders = {path.parent for path in paths} | {path.parent.parent for path in paths}
    own = {path for folder in folders for path in folder.glob("*.p4")} if len(folders) < 4 else set()
    found = sorted((paths | own), key=lambda path: (path.parent.name == "include", path.name))
    return {path.name: path.read_text(encoding="utf-8") for path in found if path.is_file()}
