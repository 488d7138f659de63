"""Parser states as BMv2 JSON. BMv2's states are straight lines, so an `if` or sub-parser splits a state."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.bmv2.controls import reachable
from p4compiler.bmv2.expressions import Json, convert, data, hexstr, place_name, read, width_of, wrapped
from p4compiler.bmv2.externs import Externs
from p4compiler.bmv2.output import Output
from p4compiler.bmv2.primitives import simple_primitive
from p4compiler.ir import fold
from p4compiler.ir import nodes as ir
from p4compiler.ir.unique import UniqueNames
from p4compiler.source import Diagnostics, Fault, Location, at

MAX_RANGE_PIECES = 4096


class ParserWriter:
    def __init__(self, output: Output, externs: Externs, diagnostics: Diagnostics) -> None:
        self.output = output
        self.externs = externs
        self.diagnostics = diagnostics
        self.states: list[Json] = []
        self._names = UniqueNames()
        # Where accept goes: None, or the state after a sub-parser's call.
        self.accept: str | None = None
        self.after: dict[int, str | None] = {}
        self.no_match: str | None = None

    def write(self, start: str, states: dict[str, ir.ParserState]) -> None:
        self._names.take(*states)
        for state in states.values():
            self.state(state)
        for state_json in self.states:
            state_json["id"] = self.output.number("parse_states")
        entry: Json = {"name": "parser", "id": 0, "init_state": start, "parse_states": self.states}
        self.output.add("parsers", entry)
        for made in self.output.program.value_sets:
            width = sum(width_of(f) for f in self._value_set_fields(made))
            self.output.add(
                "parse_vsets", {"name": made.name, "id": 0, "compressed_bitwidth": width, "max_size": made.size}
            )

    def _value_set_fields(self, made: ir.ValueSetObject) -> list[t.Type]:
        plain = t.value_type(made.element)
        if isinstance(plain, t.Struct):
            return [f for _, f in self.output.flat_fields(plain)]
        if isinstance(plain, t.Tuple):
            return [fold.erase(i) for i in plain.items]
        return [fold.erase(plain)]

    def _new(self, name: str) -> Json:
        state: Json = {"name": name, "id": 0, "parser_ops": [], "transitions": [], "transition_key": []}
        self.states.append(state)
        return state

    def state(self, state: ir.ParserState) -> None:
        last = self.body(state.body, self._new(state.name))
        if last is None:
            return
        if state.target is not None:
            last["transitions"].append(self._default(self.goto(state.target)))
            return
        try:
            self._select(state, last)
        except Fault as fault:
            self.diagnostics.error(str(fault), fault.loc or state.loc)

    def goto(self, target: str) -> str | None:
        """The JSON name of a state; null ends the parser."""
        if target == ir.ACCEPT:
            return self.accept
        return None if target == ir.REJECT else target

    def _default(self, target: str | None) -> Json:
        return {"type": "default", "value": None, "mask": None, "next_state": target}

    # Statements

    def body(self, statements: list[ir.Stmt], current: Json) -> Json | None:
        """Adds statements to a state; returns the state in which they end, None if they jump away."""
        statements = reachable(statements)
        for statement in statements:
            try:
                if isinstance(statement, ir.If):
                    current = self._if(statement, current)
                elif isinstance(statement, ir.Labelled):
                    current = self._labelled(statement, current)
                elif isinstance(statement, ir.Leave):
                    current["transitions"].append(self._default(self.after[statement.label]))
                    return None
                elif isinstance(statement, ir.Loop):
                    self._loop(statement, current)
                    return None
                elif isinstance(statement, ir.ParserCall):
                    current = self._call(statement, current)
                elif isinstance(statement, ir.Exit):
                    current["transitions"].append(self._default(None))
                    return None
                else:
                    current["parser_ops"] += self._operation(statement)
            except Fault as fault:
                self.diagnostics.error(str(fault), fault.loc or statement.loc)
        return current

    def _if(self, statement: ir.If, current: Json) -> Json:
        name = current["name"]
        follow = self._new(self._names.unique(f"{name}_join"))
        key = statement.condition
        if not isinstance(key, (ir.Scalar, ir.Valid)) or fold.children(key):
            place = self.output.program.storage.allocate("condition", t.BOOL)
            assert isinstance(place, ir.Scalar)
            current["parser_ops"] += self._operation(ir.Assign(statement.loc, place, key))
            key = place
        no_state = follow["name"]
        yes_state = follow["name"]
        if statement.otherwise:
            no = self._new(self._names.unique(f"{name}_false"))
            no_state = no["name"]
            self._join(self.body(statement.otherwise, no), follow)
        if statement.then:
            yes = self._new(self._names.unique(f"{name}_true"))
            yes_state = yes["name"]
            self._join(self.body(statement.then, yes), follow)
        current["transition_key"].append(self._key(key))
        chosen = {"type": "hexstr", "value": "0x01", "mask": None, "next_state": yes_state}
        current["transitions"] += [chosen, self._default(no_state)]
        return follow

    def _join(self, last: Json | None, follow: Json) -> None:
        if last is not None:
            last["transitions"].append(self._default(follow["name"]))

    def _labelled(self, statement: ir.Labelled, current: Json) -> Json:
        follow = self._new(self._names.unique(f"{current['name']}_after"))
        self.after[statement.label] = follow["name"]
        self._join(self.body(statement.body, current), follow)
        return follow

    def _loop(self, statement: ir.Loop, current: Json) -> None:
        head = self._new(self._names.unique(f"{current['name']}_loop"))
        current["transitions"].append(self._default(head["name"]))
        last = self.body(statement.body, head)
        if last is not None:
            last["transitions"].append(self._default(head["name"]))

    def _call(self, statement: ir.ParserCall, current: Json) -> Json:
        follow = self._new(self._names.unique(f"{current['name']}_after"))
        current["transitions"].append(self._default(statement.start))
        outer, self.accept = self.accept, follow["name"]
        self._names.take(*statement.states)
        for state in statement.states.values():
            self.state(state)
        self.accept = outer
        return follow

    def _operation(self, statement: ir.Stmt) -> list[Json]:
        if isinstance(statement, ir.Call) and statement.object is not None and statement.object.kind == "packet_in":
            return [self._packet(statement)]
        if isinstance(statement, ir.Call) and statement.name == "verify":
            check, error = statement.arguments
            assert isinstance(check, ir.Expr) and isinstance(error, ir.Expr)
            return [{"op": "verify", "parameters": [convert(check), convert(error)]}]
        if isinstance(statement, ir.Assign) and not isinstance(statement.target.type, t.Varbit):
            return [{"op": "set", "parameters": [read(statement.target), data(statement.value)]}]
        primitives = simple_primitive(statement, self.externs, "parser")
        return [{"op": "primitive", "parameters": [primitive]} for primitive in primitives]

    def _packet(self, call: ir.Call) -> Json:
        if call.name == "advance":
            amount = call.arguments[0]
            assert isinstance(amount, ir.Expr)
            return {"op": "advance", "parameters": [wrapped(convert(amount))]}
        if call.name != "extract":
            raise Fault(f"'{call.name}' is not supported in a parser", call.loc)
        parameters = [self._extracted(call)]
        if len(call.arguments) == 1:
            return {"op": "extract", "parameters": parameters}
        length = call.arguments[1]
        assert isinstance(length, ir.Expr)
        parameters.append({"type": "expression", "value": convert(length)})
        return {"op": "extract_VL", "parameters": parameters}

    def _extracted(self, call: ir.Call) -> Json:
        place = call.arguments[0]
        if isinstance(place, ir.Edge):
            return {"type": "stack", "value": place.stack.name}
        if isinstance(place, ir.Member) and isinstance(place.union.of, ir.Edge):
            return {"type": "union_stack", "value": [place.union.of.stack.name, place.name]}
        if isinstance(place, ir.Header):
            return {"type": "regular", "value": place_name(place)}
        raise Fault("a packet is extracted into a header", call.loc)

    # Select

    def _select(self, state: ir.ParserState, last: Json) -> None:
        for number, key in enumerate(state.keys):
            if not self._is_key(key):
                place = self.output.program.storage.allocate("select", key.type)
                assert isinstance(place, ir.Scalar)
                last["parser_ops"] += self._operation(ir.Assign(state.loc, place, key))
                key = state.keys[number] = place
            last["transition_key"].append(self._key(key))
        widths = [width_of(key.type) for key in state.keys]
        for case in state.cases:
            if any(transition["type"] == "default" for transition in last["transitions"]):
                # A case before this one takes every value, and the target looks at its default last.
                break
            target = self.goto(case.target)
            if case.value_set is not None:
                entry = {"type": "parse_vset", "value": case.value_set.name, "mask": None, "next_state": target}
                last["transitions"].append(entry)
                continue
            if case.keyset is None:
                last["transitions"].append(self._default(target))
                continue
            with at(case.loc):
                choices = expand_ranges(case.keyset, widths)
            last["transitions"] += [self._transition(values, widths, target) for values in choices]
        if all(transition["type"] != "default" for transition in last["transitions"]):
            last["transitions"].append(self._default(self._no_match(state.loc)))

    def _no_match(self, loc: Location) -> str:
        """The state to which a select without a case for its value goes."""
        if self.no_match is None:
            made = self._new(self._names.unique("noMatch"))
            error = ir.Const(t.ERROR, self.output.program.facts.errors["NoMatch"], "NoMatch")
            made["parser_ops"] += self._operation(ir.Call(loc, "verify", None, (fold.FALSE, error)))
            made["transitions"].append(self._default(None))
            self.no_match = str(made["name"])
        return self.no_match

    def _is_key(self, key: ir.Expr) -> bool:
        if isinstance(key, ir.Scalar):
            plain = isinstance(key.owner, ir.Header) or (isinstance(key.owner, ir.Edge) and key.owner.which == "last")
            return plain and key.type != t.INT
        return isinstance(key, ir.Valid) and isinstance(key.header, ir.Header)

    def _key(self, key: ir.Expr) -> Json:
        if isinstance(key, ir.Valid):
            return {"type": "field", "value": [place_name(key.header), "$valid$"]}
        assert isinstance(key, ir.Scalar)
        return read(key)

    def _transition(self, values: tuple[tuple[int, int], ...], widths: list[int], target: str | None) -> Json:
        """Values and masks with each key padded to whole bytes."""
        value = mask = total = 0
        exact = True
        for (part, part_mask), width in zip(values, widths, strict=True):
            padded = 8 * ((width + 7) // 8)
            value = value << padded | (part & part_mask)
            mask = mask << padded | part_mask
            total += padded
            exact = exact and part_mask == (1 << width) - 1
        if mask == 0:
            return self._default(target)
        return {
            "type": "hexstr",
            "value": hexstr(value, total)["value"],
            "mask": None if exact else hexstr(mask, total)["value"],
            "next_state": target,
        }


def expand_ranges(keyset: tuple[ir.KeyValue, ...], widths: list[int]) -> list[tuple[tuple[int, int], ...]]:
    """Every combination of (value, mask) that a keyset stands for."""
    combinations: list[tuple[tuple[int, int], ...]] = [()]
    for value, width in zip(keyset, widths, strict=True):
        full = (1 << width) - 1
        if value.kind == "range":
            pieces = range_pieces(value.value, value.other, width)
        elif value.kind == "mask":
            pieces = [(value.value, value.other)]
        else:
            pieces = [(value.value, full if value.kind == "exact" else 0)]
        combinations = [(*c, p) for c in combinations for p in pieces]
        if len(combinations) > MAX_RANGE_PIECES:
            raise Fault("the ranges of this case make too many values and masks", None)
    return combinations


def range_pieces(low: int, high: int, width: int) -> list[tuple[int, int]]:
    """The fewest (value, mask) pairs that cover low..high."""
    pieces: list[tuple[int, int]] = []
    while low <= high:
        size = low & -low if low else 1 << width
        while size > high - low + 1:
            size >>= 1
        pieces.append((low, ((1 << width) - 1) ^ (size - 1)))
        low += size
    return pieces


__all__ = ["ParserWriter", "expand_ranges", "range_pieces"]
