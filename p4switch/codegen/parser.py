"""parser.c: the parser's states as labels of one function, ending with the parser error in the packet."""

from __future__ import annotations

from collections.abc import Mapping

from p4switch.codegen.actions import Actions
from p4switch.codegen.expressions import Json, Translator
from p4switch.codegen.headers import invalidate_siblings
from p4switch.codegen.layout import HeaderPlace, Layout, Names, Place, UnionPlace, limbs
from p4switch.codegen.nodes import Load, literal, words_literal
from p4switch.codegen.text import comment, opposite, plain
from p4switch.errors import ProgramError
from p4switch.program import MOST_HEADER_BITS, ParseState, Transition
from p4switch.program_json import malformed

CORE_ERRORS = (
    "NoError",
    "PacketTooShort",
    "NoMatch",
    "StackOutOfBounds",
    "HeaderTooShort",
    "ParserTimeout",
    "ParserInvalidArgument",
)
MOST_STATES = 4096
"""A parse through more states than this ends with ParserTimeout."""


def error_codes(errors: Mapping[str, int]) -> dict[str, int]:
    """The core library's errors by name; those that the program does not list get numbers that it does not use."""
    unused = max(errors.values(), default=-1) + 1
    codes = {}
    for name in CORE_ERRORS:
        if name in errors:
            codes[name] = errors[name]
        else:
            codes[name] = 0 if name == "NoError" and 0 not in errors.values() else unused
            unused += 1
    return codes


class ParserGenerator:
    def __init__(self, layout: Layout, actions: Actions) -> None:
        self.layout = layout
        self.actions = actions
        self.parser = layout.program.parser
        self.states = Names({"done"})
        self.labels = {s.name: self.states[s.name] for s in self.parser.states}
        self.errors = error_codes(layout.program.errors)
        self.value_sets = {name: i for i, name in enumerate(layout.program.value_sets)}

    def generate(self) -> str:
        lines = [
            f"/* parser {plain(self.parser.name)} */",
            "static void parse(struct p4 *sw, struct packet *p) {",
            "    const uint8_t *d = p->base.frame;",
            "    uint32_t at = 0, size = p->base.frame_size, states = 0;",
            f"    uint32_t error = {self.errors['NoError']};",
            "    (void)sw, (void)d, (void)states, (void)size;",
            f"    goto {self._label(self.parser.init_state)};",
        ]
        for number, state in enumerate(self.parser.states):
            with malformed(f"parser state {state.name}"):
                lines += ["", *self._state(number, state)]
        lines += [
            "",
            "done:",
            "    p->base.parsed = at;",
            "    p->base.parser_error = error;",
            "    TRACE(PARSED, error);",
            "}",
            "",
        ]
        return "\n".join(lines)

    def _label(self, state: str | None) -> str:
        if state is None or state not in self.labels:
            return "done"
        return self.labels[state]

    def _fail(self, error: str) -> str:
        return f"{{ error = {self.errors[error]}; goto done; }} /* {error} */"

    def _state(self, number: int, state: ParseState) -> list[str]:
        translator = Translator(self.layout)
        lines = [
            f"{self.labels[state.name]}:{comment(state.source, f'state {state.name}')}",
            "{",
            f"    TRACE(STATE, {number});",
        ]
        lines.append(f"    if (++states > {MOST_STATES}) {self._fail('ParserTimeout')}")
        for op in state.ops:
            lines += [f"    {line}" for line in self._operation(op, translator)]
        lines += [f"    {line}" for line in self._select(state, translator)]
        return [*lines, "}"]

    # Operations --------------------------------------------------------------------------------

    def _operation(self, op: Json, t: Translator) -> list[str]:
        kind, parameters = op["op"], op["parameters"]
        if kind in ("extract", "extract_VL"):
            length = t.amount(t.node(parameters[1])) if kind == "extract_VL" else None
            return t.take() + self._extract(parameters[0], length)
        if kind == "set":
            return self._set(t.place(parameters[0]), parameters[1], t)
        if kind == "verify":
            condition, error = t.condition(parameters[0]), t.u64(t.node(parameters[1]))
            return [*t.take(), f"if ({opposite(condition)}) {{ error = (uint32_t){error}; goto done; }}"]
        if kind == "shift":
            return self._advance(str(8 * int(parameters[0])))
        if kind == "advance":
            amount = t.amount(t.node(parameters[0]))
            return t.take() + self._advance(amount)
        if kind == "primitive":
            return self.actions.primitive(parameters[0], t)
        raise ProgramError(f"parser operation {kind} is not supported")

    def _advance(self, bits: str) -> list[str]:
        return [
            f"{{   uint64_t bits = {bits};",
            f"    if (bits % 8) {self._fail('ParserInvalidArgument')}",
            f"    if (bits / 8 > size - at) {self._fail('PacketTooShort')}",
            "    at += (uint32_t)(bits / 8);",
            "}",
        ]

    def _extract(self, what: Json, length: str | None) -> list[str]:
        kind, value = what["type"], what["value"]
        if kind == "regular":
            return self._extract_to(self.layout.header(value), length)
        stack = self.layout.stack(value if kind == "stack" else value[0])
        element = f"{stack.code}[{stack.next}]"
        if kind == "stack":
            header = HeaderPlace(element, stack.type)
        elif kind == "union_stack":
            names = [m[0] for m in self.layout.union_types[stack.type]]
            header = self.layout.union_member(UnionPlace(element, stack.type), names.index(value[1]))
        else:
            raise ProgramError(f"extraction of a {kind} is not supported")
        return [
            f"if ({stack.next} >= {stack.size}) {self._fail('StackOutOfBounds')}",
            *self._extract_to(header, length),
            f"{stack.next}++;",
        ]

    def _extract_to(self, header: HeaderPlace, length: str | None) -> list[str]:
        kind = self.layout.type(header.type)
        name, fixed = self.layout.packet_type(header), kind.bits // 8
        if length is None:
            return [
                f"if (size - at < {fixed}) {self._fail('PacketTooShort')}",
                f"extract_{name}(&{header.code}, d + at{', 0' if kind.varbit else ''});",
                f"at += {fixed};",
                *invalidate_siblings(header),
            ]
        if kind.varbit is None:
            raise ProgramError(f"header type {kind.name} has no varbit field")
        return [
            f"{{   uint64_t bits = {length};",
            f"    if (bits % 8) {self._fail('ParserInvalidArgument')}",
            f"    if (bits / 8 + {fixed} > size - at) {self._fail('PacketTooShort')}",
            f"    if (bits > {kind.varbit.width}) {self._fail('HeaderTooShort')}",
            f"    extract_{name}(&{header.code}, d + at, (uint32_t)bits);",
            f"    at += {fixed} + (uint32_t)(bits / 8);",
            *(f"    {line}" for line in invalidate_siblings(header)),
            "}",
        ]

    def _set(self, place: Place, source: Json, t: Translator) -> list[str]:
        if source["type"] == "lookahead":
            offset, width = _lookahead(source)
            name = t.name()
            peeked = Load(Place(name, width))
            return [*self._need(offset + width), *self._peek(name, offset, width), *t.store(place, peeked)]
        if place.varbit:
            other = t.place(source)
            return [f"{place.code} = {other.code};"]
        return t.store(place, t.node(source))

    def _need(self, bits: int) -> list[str]:
        return [f"if (size - at < {(bits + 7) // 8}) {self._fail('PacketTooShort')}"]

    def _peek(self, name: str, offset: int, width: int) -> list[str]:
        if width > 64:
            n = limbs(width)
            return [f"uint64_t {name}[{n}]; p4w_get_bits({name}, {n}, d + at, {offset}, {width});"]
        return [f"uint64_t {name} = p4_get_bits(d + at, {offset}, {width});"]

    # Select ------------------------------------------------------------------------------------

    def _select(self, state: ParseState, t: Translator) -> list[str]:
        if not state.key:
            target = next((x.next_state for x in state.transitions if x.kind == "default"), None)
            return [f"goto {self._label(target)};"]
        lines, components = [], list[tuple[str, int]]()
        for i, part in enumerate(state.key):
            name = f"k{i}"
            if part["type"] == "lookahead":
                offset, width = _lookahead(part)
                lines += self._need(offset + width) + self._peek(name, offset, width)
            else:
                place = t.place(part)
                width = place.width
                lines += self._key(name, place, t)
            components.append((name, width))
        cases = [x for x in state.transitions if x.kind != "default"]
        default = next((x.next_state for x in state.transitions if x.kind == "default"), None)
        if (
            len(components) == 1
            and components[0][1] <= 64
            and all(c.kind == "value" and c.mask is None for c in cases)
        ):
            lines += self._switch(components[0], cases)
        else:
            for case in cases:
                lines += self._case(case, components)
        return [*lines, f"goto {self._label(default)};"]

    def _key(self, name: str, place: Place, t: Translator) -> list[str]:
        if place.wide:
            return [*t.take(), f"const uint64_t *{name} = {place.code};"]
        return [*t.take(), f"uint64_t {name} = {place.code};"]

    def _switch(self, component: tuple[str, int], cases: list[Transition]) -> list[str]:
        name, seen, lines = component[0], set[int](), []
        for case in cases:
            if case.value not in seen:
                seen.add(case.value)
                lines.append(f"case {literal(case.value)}: goto {self._label(case.next_state)};")
        return [f"switch ({name}) {{", *lines, "}"] if lines else []

    def _case(self, case: Transition, components: list[tuple[str, int]]) -> list[str]:
        """The value and the mask of a case hold one component after another, each padded to bytes."""
        target = self._label(case.next_state)
        masks = self._cut_components(case.mask, components)
        if case.kind == "parse_vset":
            return self._value_set_case(case, components, masks, target)
        terms = []
        for (name, width), value, mask in zip(
            components, self._cut_components(case.value, components), masks, strict=True
        ):
            full = (1 << width) - 1
            value, mask = value or 0, full if mask is None else mask & full
            if mask == 0:
                continue
            for word in range(limbs(width)):
                part = mask >> (64 * word) & ((1 << 64) - 1)
                code = f"{name}[{word}]" if width > 64 else name
                if part:
                    most = full >> (64 * word) & ((1 << 64) - 1)
                    masked = code if part == most else f"({code} & {literal(part)})"
                    terms.append(f"{masked} == {literal(value >> (64 * word) & part)}")
        return [f"if ({' && '.join(terms)}) goto {target};" if terms else f"goto {target};"]

    def _cut_components(self, value: int | None, components: list[tuple[str, int]]) -> list[int | None]:
        out: list[int | None] = []
        for _, width in reversed(components):
            size = (width + 7) // 8 * 8
            out.append(None if value is None else value & ((1 << size) - 1))
            value = None if value is None else value >> size
        return out[::-1]

    def _value_set_case(
        self, case: Transition, components: list[tuple[str, int]], masks: list[int | None], target: str
    ) -> list[str]:
        if case.value_set not in self.value_sets:
            raise ProgramError(f"the program has no value set {case.value_set}")
        key, mask = [], []
        for (name, width), part in zip(components, masks, strict=True):
            key += [f"{name}[{i}]" for i in range(limbs(width))] if width > 64 else [name]
            mask.append(words_literal((1 << width) - 1 if part is None else part, limbs(width))[1:-1])
        number = self.value_sets[case.value_set]
        arrays = [f"(const uint64_t[]){{{', '.join(words)}}}" for words in (key, mask)]
        return [
            f"if (p4_value_set_has(&sw->value_sets[{number}], {', '.join(arrays)})) /* {plain(case.value_set)} */",
            f"    goto {target};",
        ]


def _lookahead(item: Json) -> tuple[int, int]:
    """(offset, width) in bits."""
    offset, width = (int(v) for v in item["value"])
    if not (0 <= offset <= MOST_HEADER_BITS and 1 <= width <= MOST_HEADER_BITS):
        raise ProgramError(f"a lookahead of {width} bits at {offset} is not supported")
    return offset, width


def value_set_widths(layout: Layout) -> dict[str, tuple[int, ...]]:
    """The widths of the components that each value set is compared with."""
    widths: dict[str, tuple[int, ...]] = {}
    translator = Translator(layout)
    for state in layout.program.parser.states:
        for case in state.transitions:
            if case.kind == "parse_vset":
                widths[case.value_set] = tuple(
                    _lookahead(part)[1] if part["type"] == "lookahead" else translator.place(part).width
                    for part in state.key
                )
    for name, value_set in layout.program.value_sets.items():
        widths.setdefault(name, (value_set.width,))
    return widths
