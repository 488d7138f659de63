"""A JSON that is broken anywhere is refused in words, or works; never an exception of another kind."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from p4switch.codegen import generate
from p4switch.pipeline import PipelineError
from p4switch.program_json import parse_program
from tests.p4switch.everything import everything

VALUES = [None, -1, 0, 1, 2**40, "x", "0xzz", "", [], {}, True, 3.5, 'a"*/\\\n']


def paths(item: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(item, dict):
        for key, value in item.items():
            yield from paths(value, (*path, key))
    elif isinstance(item, list):
        for key, value in enumerate(item):
            yield from paths(value, (*path, key))


def break_one(program: Any, path: tuple[Any, ...], r: random.Random) -> None:
    for key in path[:-1]:
        program = program[key]
    if r.random() < 0.2:
        del program[path[-1]]
    else:
        program[path[-1]] = r.choice([*VALUES, [program[path[-1]]]])


@pytest.mark.parametrize("seed", range(3))
def test_broken_json(seed: int) -> None:
    r = random.Random(seed)
    whole = everything().json()
    places = list(paths(whole))
    refused = 0
    for _ in range(300):
        broken = copy.deepcopy(whole)
        break_one(broken, r.choice(places), r)
        try:
            generate(parse_program(json.loads(json.dumps(broken))))
        except PipelineError as error:
            assert str(error)
            refused += 1
    assert 30 < refused < 300


def test_names_cannot_leave_a_comment_or_a_string() -> None:
    evil = 'x */ #error "\\" \n#error'
    text = json.dumps(everything().json()).replace('"shape"', json.dumps(evil))
    files = generate(parse_program(text)).files
    assert not any(line.lstrip().startswith("#error") for body in files.values() for line in body.splitlines())
    assert "x * / #error" in files["actions.c"]


def test_two_tables_of_one_name_are_refused() -> None:
    whole = everything().json()
    tables = whole["pipelines"][0]["tables"]
    tables.append(copy.deepcopy(tables[0]))
    with pytest.raises(PipelineError, match="two tables have the name"):
        parse_program(whole)
