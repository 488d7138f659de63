"""A JSON that is broken anywhere is refused in words, or works; never an exception of another kind."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.fuzz.loader import PYTHON
from p4switch.codegen import generate
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline, PipelineError
from p4switch.program_json import parse_program
from tests.p4switch.bmv2json import Programs, param, send_to
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
            assert str(error) and not PYTHON.search(str(error)), str(error)
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


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("header_types", 1, "name"), [], r"header_types\[1\]: .* an object, list, text"),
        (("header_types", 1, "fields", 0, 1), "wide", r"header_types\[1\] \(\w+\): "),
        (("headers", 2, "header_type"), {}, r"headers\[2\] \(\w+\)|unknown type|stands where another"),
        (("actions", 0, "primitives"), 3, r"actions\[0\] \("),
        (
            ("pipelines", 0, "tables", 1, "key", 0, "match_type"),
            "fuzzy",
            r"tables\[1\] \(.*\), key\[0\].*: unknown match",
        ),
        (
            ("pipelines", 0, "tables", 0, "actions"),
            None,
            r"pipelines\[0\] \(ingress\), tables\[0\] \(.*\): malformed",
        ),
        (
            ("parsers", 0, "parse_states", 0, "transitions", 0, "value"),
            "x",
            r"parse_states\[0\] \(.*\), transitions\[0\]",
        ),
        (("parsers", 0, "parse_states", 0, "parser_ops", 0), 3, r"parser state \w+: malformed"),
        (("__meta__",), {"version": []}, r"__meta__: malformed BMv2 JSON: a list is too short"),
    ],
)
def test_the_part_at_fault_is_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    broken = everything().json()
    item: Any = broken
    for key in path[:-1]:
        item = item[key]
    item[path[-1]] = value
    with pytest.raises(PipelineError, match=message) as refused:
        generate(parse_program(broken))
    assert not PYTHON.search(str(refused.value)), refused.value


def test_an_entry_that_does_not_fit_is_named_with_its_line(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.action("to", send_to(param(0)), params={"port": 9})
    place = {"filename": "dir/prog.p4", "line": 12, "column": 4, "source_fragment": "9..3"}
    key = [{"match_type": "range", "start": "0x09", "end": "0x03"}]
    entry = {"match_key": key, "action": "to", "data": ["0x1"], "priority": 1}
    p.table("t", [("range", "h", "a")], ["to"], entries=[entry])
    program = p.json()
    program["pipelines"][0]["tables"][0]["entries"][0]["source_info"] = place
    with pytest.raises(
        PipelineError, match=r"entries\[0\] \(prog\.p4:12\): table t, key .*: the range 9\.\.3 is empty"
    ):
        Pipeline.load(program, cache=build_cache, flags=QUICK)
