"""The whole dissector."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from p4compiler.elaborate.program import Program
from p4compiler.wireshark import layout as layouts
from p4compiler.wireshark.expressions import Expressions
from p4compiler.wireshark.hooks import Hook, Ways
from p4compiler.wireshark.lua import Json, quoted
from p4compiler.wireshark.states import States

_HERE = Path(__file__).parent
_BEFORE = ("numbers.lua", "parse.lua")
_AFTER = ("show.lua",)


def dissector(json: Json, program: Program | None = None, more: Sequence[str] = ()) -> str:
    """A program's dissector as Lua. `program`: the checked program, which knows the names of values; `more`: Lua that
    adds to it, see show.lua."""
    names = {} if program is None else layouts.names_of_values(program)
    return "\n".join(_parts(json, names, more)) + "\n"


def _parts(json: Json, names: Mapping[str, Mapping[str, Mapping[int, str]]], more: Sequence[str]) -> Iterator[str]:
    layout = layouts.read(json, names)
    fields = {name: [one.name for one in header.fields] for name, header in layout.every.items()}
    widths = {
        name: {one.name: one.width for one in header.fields if one.width is not None}
        for name, header in layout.every.items()
    }
    errors = {int(value): name for name, value in json["errors"]}
    states = States(Expressions(fields, layout.stacks), widths, errors)
    parser = json["parsers"][0]
    ways = Ways(parser, layout.headers, states)
    title = Path(json["program"]).name
    yield f"-- A dissector of {title} for Wireshark and tshark, made from its parser. Put it into Wireshark's folder"
    yield "-- of personal Lua plugins (Help, About, Folders), or give it: tshark -X lua_script:FILE -r CAPTURE"
    yield from (_file(name) for name in _BEFORE)
    yield "-- The program."
    yield f"local program = {{ title = {quoted(title)}, filter = {quoted(filter_name(title))},"
    yield "  headers = {}, stacks = {}, states = {}, hooks = {}, after = {}, init = {}, more_fields = {} }"
    yield "local states = program.states"
    yield from layouts.lua(layout, ways.shown())
    yield f"program.start = {quoted(parser['init_state'])}"
    yield from (states.lua(one) for one in parser["parse_states"])
    yield from (_hook(number, one) for number, one in enumerate(ways.hooks, 1))
    yield from (_file(name) for name in _AFTER)
    for one in more:
        yield f"do\n{one.rstrip()}\nend"
    yield "register(program)"


def filter_name(title: str) -> str:
    """What display filters begin with: p4_ keeps it apart from Wireshark's own names."""
    return "p4_" + re.sub(r"[^a-z0-9_]", "_", title.removesuffix(".p4").removesuffix(".p4i").lower())


def _hook(number: int, hook: Hook) -> str:
    parts = f"table = {quoted(hook.table)}, value = {hook.value}, state = {quoted(hook.state)}"
    return f"program.hooks[{number}] = {{ {parts} }}"


def _file(name: str) -> str:
    return "\n" + (_HERE / name).read_text(encoding="utf-8")
