"""actions.c: one C function per action, its parameters as a struct; and the primitives that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from p4switch.codegen import headers as header_code
from p4switch.codegen.expressions import Json, Translator
from p4switch.codegen.layout import Layout, Names, Place, StackPlace, limbs
from p4switch.codegen.nodes import Code, Load, Node
from p4switch.codegen.text import comment, opposite, plain
from p4switch.errors import ProgramError
from p4switch.program import Action
from p4switch.program_json import in_words, source_of

MOST_JUMPS_BACK = 1 << 20
"""A loop in an action ends after so many rounds."""

_ALU = {
    "add": "+",
    "subtract": "-",
    "bit_xor": "^",
    "bit_or": "|",
    "bit_and": "&",
    "shift_left": "<<",
    "shift_right": ">>",
}


class Actions:
    """Translates actions and primitives; remembers log messages, whose texts stay on the Python side."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        program = layout.program
        self.names = Names()
        self.functions = {a.id: f"do_{self.names.fresh(a.name)}" for a in program.actions.values()}
        self.counters = {name: i for i, name in enumerate(program.counters)}
        self.meters = {name: i for i, name in enumerate(program.meters)}
        self.registers = {name: i for i, name in enumerate(program.registers)}
        self.calculations = Names()
        self.messages: list[str] = []
        self.exits = {
            a.id
            for a in program.actions.values()
            if any(p["op"] in ("exit", "assert", "assume") for p in a.primitives)
        }
        self._simple: dict[str, Callable[[Sequence[Json], Translator], list[str]]] = {
            "assign": self._assign,
            "modify_field": self._assign,
            "assign_VL": self._assign_varbit,
            "assign_header": self._assign_header,
            "copy_header": self._assign_header,
            "assign_union": lambda a, t: self._with(t, header_code.assign_union(t.union(a[0]), t.union(a[1]))),
            "assign_header_stack": lambda a, t: self._with(t, header_code.assign_stack(t.stack(a[0]), t.stack(a[1]))),
            "assign_union_stack": lambda a, t: self._with(t, header_code.assign_stack(t.stack(a[0]), t.stack(a[1]))),
            "push": lambda a, t: self._shift(a, t, True),
            "pop": lambda a, t: self._shift(a, t, False),
            "add_header": self._add_header,
            "add_header_fast": self._add_header,
            "remove_header": self._remove_header,
            "mark_to_drop": lambda a, t: self._drop(),
            "drop": lambda a, t: self._drop(),
            "exit": lambda a, t: ["p->base.exit = true;"],
            "no_op": lambda a, t: [],
            "modify_field_rng_uniform": self._random,
            "modify_field_with_hash_based_offset": self._hash,
            "count": self._count,
            "execute_meter": self._meter,
            "register_read": self._register_read,
            "register_write": self._register_write,
            "generate_digest": lambda a, t: self._note(t, "digest", a[1]),
            "resubmit": lambda a, t: self._note(t, "resubmit", a[0]),
            "recirculate": lambda a, t: self._note(t, "recirculate", a[0]),
            "clone_ingress_pkt_to_egress": self._clone,
            "clone_egress_pkt_to_egress": self._clone,
            "truncate": self._truncate,
            "log_msg": self._log,
            "assert": self._assert,
            "assume": self._assert,
            "add_to_field": lambda a, t: self._add_to(a, t, "+"),
            "subtract_from_field": lambda a, t: self._add_to(a, t, "-"),
        }

    def generate(self) -> str:
        return "\n".join(self._function(a) for a in self.layout.program.actions.values())

    def params(self, action: Action) -> tuple[list[str], list[Place]]:
        """The members of the parameter struct, and how code refers to them."""
        names, members, places = Names(), [], []
        for param in action.params:
            name = names[param.name]
            array = f"[{limbs(param.width)}]" if param.width > 64 else ""
            members.append(f"    uint64_t {name}{array}; /* bit<{param.width}> */")
            places.append(Place(f"a->{name}", param.width))
        return members, places

    def _function(self, action: Action) -> str:
        name = self.functions[action.id]
        members, places = self.params(action)
        lines = []
        if members:
            lines += [f"struct {name}_params {{", *members, "};"]
        lines += [
            f"/* action {plain(action.name)}{f' ({plain(str(action.source))})' if action.source.line else ''} */",
            f"static void {name}(struct p4 *sw, struct packet *p, const uint64_t *params) {{",
        ]
        if members:
            lines.append(f"    const struct {name}_params *a = (const void *)params;")
        lines.append("    (void)sw, (void)p, (void)params;")
        lines += [f"    {line}" for line in self._body(action, places)]
        return "\n".join([*lines, "}", ""])

    def _body(self, action: Action, places: list[Place]) -> list[str]:
        """Primitives in order. Jumps go to the index of a primitive; only such ones get a label."""
        translator = Translator(self.layout, places)
        targets = {self._target(p) for p in action.primitives if p["op"] in ("_jump", "_jump_if_zero")}
        back = any(
            self._target(p) <= i for i, p in enumerate(action.primitives) if p["op"] in ("_jump", "_jump_if_zero")
        )
        lines = ["uint32_t rounds = 0;"] if back else []
        for i, primitive in enumerate(action.primitives):
            if i in targets:
                lines.append(f"l{i}:;")
            try:
                body = self._step(i, primitive, translator)
            except ProgramError as error:
                raise ProgramError(f"{self._where(action, primitive)}: {error}") from None
            except (KeyError, IndexError, TypeError, ValueError) as error:
                text = f"malformed primitive {primitive.get('op')}: {in_words(error)}"
                raise ProgramError(f"{self._where(action, primitive)}: {text}") from error
            lines += ["{" + self._comment(primitive), *(f"    {line}" for line in body), "}"]
        if any(t >= len(action.primitives) for t in targets):
            lines.append(f"l{len(action.primitives)}:;")
        return lines

    @staticmethod
    def _where(action: Action, primitive: Json) -> str:
        place = source_of(primitive)
        return f"action {action.name}{f' ({place})' if place.line else ''}"

    @staticmethod
    def _comment(primitive: Json) -> str:
        return comment(source_of(primitive), "")

    @staticmethod
    def _target(primitive: Json) -> int:
        target = primitive["parameters"][-1]
        return int(target["value"], 16)

    def _step(self, index: int, primitive: Json, t: Translator) -> list[str]:
        op, parameters = primitive["op"], primitive["parameters"]
        if op in ("_jump", "_jump_if_zero"):
            target = self._target(primitive)
            guard = [f"if (++rounds > {MOST_JUMPS_BACK}) return;"] if target <= index else []
            if op == "_jump":
                return [*guard, f"goto l{target};"]
            condition = t.condition(parameters[0])
            return [*t.take(), f"if ({opposite(condition)}) {{ {' '.join(guard)} goto l{target}; }}"]
        return self.primitive(primitive, t)

    def primitive(self, primitive: Json, t: Translator) -> list[str]:
        """The C statements of one primitive."""
        op, parameters = primitive["op"], primitive["parameters"]
        if op in self._simple:
            return self._simple[op](parameters, t)
        if op in _ALU:
            return self._alu(_ALU[op], parameters, t)
        raise ProgramError(f"primitive {op} is not supported")

    # Fields and headers ------------------------------------------------------------------------

    @staticmethod
    def _with(t: Translator, lines: list[str]) -> list[str]:
        return t.take() + lines

    def _assign(self, a: Sequence[Json], t: Translator) -> list[str]:
        return t.store(t.place(a[0]), t.node(a[1]))

    def _assign_varbit(self, a: Sequence[Json], t: Translator) -> list[str]:
        to, source = t.place(a[0]), t.place(a[1])
        if to.width == source.width:
            return self._with(t, [f"{to.code} = {source.code};"])
        size = f"p4_umin({source.code}.bits, {to.width})"
        return self._with(
            t,
            [
                f"{to.code}.bits = (uint32_t){size};",
                f"memmove({to.code}.bytes, {source.code}.bytes, {to.code}.bits / 8);",
            ],
        )

    def _alu(self, op: str, a: Sequence[Json], t: Translator) -> list[str]:
        item = {"op": op, "left": a[1], "right": a[2]}
        return t.store(t.place(a[0]), t.node(item))

    def _add_to(self, a: Sequence[Json], t: Translator, op: str) -> list[str]:
        return t.store(t.place(a[0]), t.node({"op": op, "left": a[0], "right": a[1]}))

    def _assign_header(self, a: Sequence[Json], t: Translator) -> list[str]:
        return self._with(t, header_code.assign_header(t.header(a[0]), t.header(a[1])))

    def _add_header(self, a: Sequence[Json], t: Translator) -> list[str]:
        return self._with(t, header_code.set_valid(self.layout, t.header(a[0])))

    def _remove_header(self, a: Sequence[Json], t: Translator) -> list[str]:
        return self._with(t, header_code.set_invalid(self.layout, t.header(a[0])))

    def _shift(self, a: Sequence[Json], t: Translator, front: bool) -> list[str]:
        stack: StackPlace = t.stack(a[0])
        return self._with(t, header_code.shift_stack(self.layout, stack, t.amount(t.node(a[1])), front))

    # The packet's fate -------------------------------------------------------------------------

    def _drop(self) -> list[str]:
        spec = self.layout.find("standard_metadata.egress_spec")
        group = self.layout.find("intrinsic_metadata.mcast_grp") or self.layout.find("standard_metadata.mcast_grp")
        lines = [f"{spec.code} = P4_DROP_PORT;"] if spec else []
        return lines + ([f"{group.code} = 0;"] if group else [])

    def _note(self, t: Translator, what: str, number: Json) -> list[str]:
        code = t.u64(t.node(number))
        return [*t.take(), f"p->base.{what} = (uint16_t){code};"]

    def _clone(self, a: Sequence[Json], t: Translator) -> list[str]:
        session, fields = t.u64(t.node(a[0])), t.u64(t.node(a[1])) if len(a) > 1 else "0"
        return [
            *t.take(),
            f"p->base.clone_session = ((uint32_t){session} & 0x7fff) + 1;",
            f"p->base.clone_list = (uint16_t){fields};",
        ]

    def _truncate(self, a: Sequence[Json], t: Translator) -> list[str]:
        code = t.amount(t.node(a[0]))
        return [*t.take(), f"p->base.truncate = (uint32_t)p4_umin(p->base.truncate, {code});"]

    # Externs -----------------------------------------------------------------------------------

    def _random(self, a: Sequence[Json], t: Translator) -> list[str]:
        """Nothing is written where the bounds are the wrong way round, as on BMv2."""
        low, high = t.u64(t.node(a[1])), t.u64(t.node(a[2]))
        lines = [*t.take(), f"uint64_t low = {low}, span = {high} - low + 1;"]
        number = Code("(low + (span ? p4_random(&sw->random) % span : p4_random(&sw->random)))", 0, (1 << 64) - 1)
        store = t.store(t.place(a[0]), number)
        return [*lines, f"if (low <= {high}) {{", *(f"    {line}" for line in store), "}"]

    def calculation(self, name: str) -> str:
        """Its C name. Raises ProgramError if there is none."""
        if name not in self.layout.program.calculations:
            raise ProgramError(f"the program has no calculation {name}")
        return self.calculations[name]

    def _hash(self, a: Sequence[Json], t: Translator) -> list[str]:
        base, most = t.node(a[1]), t.node(a[3])
        name = self.calculation(a[2]["value"])
        most_code = t.u64(most)
        lines = [*t.take(), f"uint64_t most = {most_code};"]
        value = f"calculate_{name}(sw, p) % (most ? most : 1)"
        high = min(base.high, (1 << 64) - 1)
        total: Node = Code(f"({t.u64(base)} + {value})", 0, (1 << 64) - 1)
        if high == 0:
            total = Code(f"({value})", 0, (1 << 64) - 1)
        return lines + t.store(t.place(a[0]), total)

    def _index(self, a: Json, t: Translator) -> str:
        return t.amount(t.node(a))

    def _count(self, a: Sequence[Json], t: Translator) -> list[str]:
        number = self._number(self.counters, a[0]["value"], "counter")
        size = self.layout.program.counters[a[0]["value"]].size
        index = self._index(a[1], t)
        return [
            *t.take(),
            f"struct p4_counter *cell = &sw->counters[{number}][p4_index({index}, {size})];",
            "cell->packets++, cell->bytes += p->base.ingress_length;",
        ]

    def _meter(self, a: Sequence[Json], t: Translator) -> list[str]:
        number = self._number(self.meters, a[0]["value"], "meter")
        meter = self.layout.program.meters[a[0]["value"]]
        index = self._index(a[1], t)
        amount = "p->base.ingress_length" if meter.unit == "bytes" else "1"
        lines = [*t.take(), f"uint64_t index = {index};", f"if (index < {meter.size}) {{"]
        code = Code(f"p4_meter_colour(&sw->meters[{number}][index], sw->now_us, {amount})", 0, 2)
        return [*lines, *(f"    {line}" for line in t.store(t.place(a[2]), code)), "}"]

    def _register_read(self, a: Sequence[Json], t: Translator) -> list[str]:
        name = a[1]["value"]
        number = self._number(self.registers, name, "register")
        register = self.layout.program.registers[name]
        index = self._index(a[2], t)
        words = limbs(register.width)
        lines = [*t.take(), f"uint64_t index = {index};", f"if (index < {register.size}) {{"]
        cell = f"sw->registers[{number}]" + ("[index]" if words == 1 else "")
        if words > 1:
            lines.append(f"    const uint64_t *cell = {cell} + index * {words};")
            cell = "cell"
        source = Load(Place(cell, register.width, register.signed))
        return [*lines, *(f"    {line}" for line in t.store(t.place(a[0]), source)), "}"]

    def _register_write(self, a: Sequence[Json], t: Translator) -> list[str]:
        name = a[0]["value"]
        number = self._number(self.registers, name, "register")
        register = self.layout.program.registers[name]
        index = self._index(a[1], t)
        words = limbs(register.width)
        lines = [*t.take(), f"uint64_t index = {index};", f"if (index < {register.size}) {{"]
        cell = f"sw->registers[{number}]" + ("[index]" if words == 1 else "")
        if words > 1:
            lines.append(f"    uint64_t *cell = {cell} + index * {words};")
            cell = "cell"
        store = t.store(Place(cell, register.width), t.node(a[2]))
        return [*lines, *(f"    {line}" for line in store), "}"]

    def _log(self, a: Sequence[Json], t: Translator) -> list[str]:
        """The values as 64-bit words after the message's number; wide ones lose their high part."""
        values = [t.u64(t.node(x)) for x in (a[1]["value"] if len(a) > 1 else ())]
        number = len(self.messages)
        self.messages.append(str(a[0]["value"]))
        array = f"(const uint64_t[]){{{', '.join(values) or '0'}}}"
        return [*t.take(), f"if (sw->logging) log_values(sw, {number}, {len(values)}, {array});"]

    def _assert(self, a: Sequence[Json], t: Translator) -> list[str]:
        """BMv2 aborts; here the packet is dropped and the log says why."""
        condition = t.condition(a[0])
        number = len(self.messages)
        self.messages.append("an assertion of the program failed; the packet is dropped")
        return [
            *t.take(),
            f"if ({opposite(condition)}) {{",
            f"    log_values(sw, {number}, 0, (const uint64_t[]){{0}});",
            "    p->base.exit = p->base.dropped = true;",
            "    return;",
            "}",
        ]

    @staticmethod
    def _number(known: dict[str, int], name: str, what: str) -> int:
        if name not in known:
            raise ProgramError(f"the program has no {what} {name}")
        return known[name]


def log_support() -> str:
    return """static void log_values(struct p4 *sw, uint32_t message, uint32_t count, const uint64_t *values) {
    void *record = p4_record(sw, P4_LOG, message, count * 8);
    if (record && count) memcpy(record, values, count * 8);
}
"""
