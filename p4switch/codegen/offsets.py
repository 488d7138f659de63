"""Where in a frame a header most likely starts: on the parser's shortest way to it."""

from __future__ import annotations

from p4switch.program import ParseState, Program
from p4switch.program_json import malformed


def likely_offsets(program: Program) -> dict[str, int]:
    """Bytes from the frame's start, by header; without those that only follow a header of unknown length."""
    states = {state.name: state for state in program.parser.states}
    found: dict[str, int] = {}
    seen = {program.parser.init_state}
    ways = [(program.parser.init_state, 0)]
    for name, at in ways:
        if name is None or name not in states:
            continue
        with malformed(f"parser state {name}"):
            end = _walk(states[name], at, program, found)
        if end is None:
            continue
        for transition in states[name].transitions:
            if transition.next_state not in seen:
                seen.add(transition.next_state)
                ways.append((transition.next_state, end))
    return found


def _walk(state: ParseState, at: int, program: Program, found: dict[str, int]) -> int | None:
    """The offset at the state's end, or None: not known. Adds the headers that it extracts."""
    for op in state.ops:
        kind, parameters = op["op"], op["parameters"]
        if kind == "extract" and parameters[0]["type"] == "regular":
            header = parameters[0]["value"]
            found.setdefault(header, at)
            at += program.header_types[program.headers[header].type].bits // 8
        elif kind == "shift":
            at += int(parameters[0])
        elif kind in ("extract", "extract_VL", "advance"):
            return None
    return at
