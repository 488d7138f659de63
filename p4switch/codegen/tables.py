"""tables.c: the description of each table's key, and one function per table that looks up and runs the action."""

from __future__ import annotations

from p4switch.codegen.actions import Actions
from p4switch.codegen.layout import Layout, Names, Place, limbs
from p4switch.codegen.nodes import literal
from p4switch.codegen.offsets import likely_offsets
from p4switch.codegen.text import comment, initializer, plain, quoted
from p4switch.errors import ProgramError
from p4switch.program import Control, KeyField, Table

MODES = {"exact": "P4_EXACT", "lpm": "P4_LPM", "ternary": "P4_TERNARY", "range": "P4_RANGE"}


def key_offsets(table: Table) -> list[tuple[int, int]]:
    """(first word, words) of each key field."""
    out, at = [], 0
    for one in table.key:
        out.append((at, limbs(one.width)))
        at += limbs(one.width)
    return out


def key_words(table: Table) -> int:
    return sum(count for _, count in key_offsets(table))


def mode(table: Table) -> str:
    if not table.key:
        return "P4_KEYLESS"
    kinds = {k.kind for k in table.key}
    if "range" in kinds:
        return "P4_RANGE"
    if kinds & {"ternary", "optional"}:
        return "P4_TERNARY"
    if "lpm" in kinds:
        return "P4_LPM" if table.match_type == "lpm" else MODES.get(table.match_type, "P4_LPM")
    return "P4_EXACT"


MOST_PEEKED = 1024
"""Bytes of a frame in which its keys are looked for before it is parsed."""


class Tables:
    def __init__(self, layout: Layout, actions: Actions) -> None:
        self.layout = layout
        self.actions = actions
        self.program = layout.program
        self.numbers = {name: i for i, name in enumerate(self.program.tables)}
        self.action_numbers = {a: i + 1 for i, a in enumerate(self.program.actions)}
        self.names = Names()
        self.functions = {name: f"apply_{self.names[name]}" for name in self.program.tables}
        self.offsets = likely_offsets(self.program)

    def param_words(self, table: Table) -> int:
        if table.profile:
            return 0
        return max((self.action_words(a) for a in table.action_ids), default=0)

    def action_words(self, action: int) -> int:
        return sum(limbs(p.width) for p in self.program.actions[action].params)

    def direct(self, table: Table) -> bool:
        """A table without key whose action is fixed: the compiler's form of code outside tables."""
        return (
            not table.key
            and table.kind == "simple"
            and table.default_const
            and table.default_action_id is not None
            and not table.with_counters
            and not table.direct_meter
        )

    def generate(self) -> str:
        out: list[str] = []
        infos = []
        for table in self.program.tables.values():
            name, offsets = self.names[table.name], key_offsets(table)
            parts = [
                "{" + f".first = {first}, .words = {count}" + (", .range = true}" if key.kind == "range" else "}")
                for key, (first, count) in zip(table.key, offsets, strict=True)
            ]
            if parts:
                out.append(f"static const struct p4_component key_{name}[] = {{{', '.join(parts)}}};")
            peek = self._peek(table)
            if peek:
                out.append(f"static const struct p4_peek peek_{name}[] = {{{', '.join(peek)}}};")
            info = initializer(
                name=quoted(table.name),
                mode=mode(table),
                key_words=key_words(table),
                param_words=self.param_words(table),
                components=len(parts),
                component=f"key_{name}" if parts else None,
                peek=f"peek_{name}" if peek else None,
                meter=bool(table.direct_meter),
            )
            infos.append(f"    {info},")
        out += ["static const struct p4_table_info table_infos[] = {", *infos, "    {0}", "};", ""]
        for control in (self.program.ingress, self.program.egress):
            out += [self._apply(t, control) for t in control.tables if not self.direct(t)]
        return "\n".join(out)

    def _apply(self, table: Table, control: Control) -> str:
        number, words = self.numbers[table.name], key_words(table)
        lines = [
            f"/*{table_comment(table)[3:-3]}: returns the action that ran, by number, or 0 */",
            f"static inline uint32_t {self.functions[table.name]}(struct p4 *sw, struct packet *p, bool *hit) {{",
            f"    struct p4_table *table = &sw->tables[{number}];",
        ]
        if table.key:
            lines.append(f"    uint64_t key[{words}];")
            for key, (first, count) in zip(table.key, key_offsets(table), strict=True):
                lines += [f"    {line}{self._key_comment(key)}" for line in self._key(key, first, count)]
            lines.append("    struct p4_entry *entry = p4_table_find(table, key);")
            lines += ["    *hit = entry != NULL;", "    if (!entry) entry = table->fallback;"]
        else:
            lines += ["    struct p4_entry *entry = table->fallback;", "    *hit = false;"]
        if table.support_timeout:
            lines.append("    entry->hit_us = sw->now_us;")
        if table.with_counters:
            lines.append("    entry->packets++, entry->bytes += p->base.ingress_length;")
        if table.direct_meter:
            lines += [f"    {line}" for line in self._meter(table.direct_meter)]
        action, params = "entry->action", self._params(table)
        if table.profile:
            lines += [f"    {line}" for line in self._resolve(table, control)]
            action, params = "action", "params"
        lines.append(f"    {self._trace(table, action, params)}")
        lines.append(f"    switch ({action}) {{")
        for action_id in dict.fromkeys(table.action_ids):
            if self.program.actions[action_id].primitives:
                function = self.actions.functions[action_id]
                lines.append(f"    case {self.action_numbers[action_id]}: {function}(sw, p, {params}); break;")
        lines += ["    }", f"    return {action};", "}", ""]
        return "\n".join(lines)

    def _trace(self, table: Table, action: str, params: str) -> str:
        words = key_words(table)
        count = str(self.param_words(table))
        if table.profile:
            count = f"member ? {max((self.action_words(a) for a in table.action_ids), default=0)} : 0"
        key = "key" if table.key else "NULL"
        return f"TRACE_TABLE({self.numbers[table.name]}, {action}, {key}, {words}, {params}, {count});"

    def _key_comment(self, key: KeyField) -> str:
        return f" /* {plain(key.name)}: {key.kind} */"

    def _peek(self, table: Table) -> list[str]:
        """Where a frame most likely has each word of the key; empty if some field does not stand in the frame so."""
        words = []
        for key in table.key:
            place = self._likely_place(key)
            if place is None:
                return []
            for i in range(limbs(key.width)):
                end = min(64 * (i + 1), key.width)
                words.append(f"{{.at = {place + (key.width - end) // 8}, .bytes = {(end - 64 * i) // 8}}}")
        return words

    def _likely_place(self, key: KeyField) -> int | None:
        """Bytes from the frame's start to a field of whole bytes."""
        if len(key.target) == 1 or key.mask is not None or key.target[0] not in self.offsets:
            return None
        bits = 8 * self.offsets[key.target[0]]
        kind = self.program.header_types[self.program.headers[key.target[0]].type]
        for field in kind.fields:
            if field.varbit:
                break
            if field.name == key.target[1]:
                aligned = bits % 8 == 0 and field.width % 8 == 0
                return bits // 8 if aligned and 0 <= bits <= 8 * MOST_PEEKED - field.width else None
            bits += field.width
        return None

    def _params(self, table: Table) -> str:
        words = key_words(table)
        return f"(entry->data + {words})" if words else "entry->data"

    def _place(self, key: KeyField) -> Place:
        if key.kind == "valid" or len(key.target) == 1:
            return Place(f"{self.layout.header(key.target[0]).code}.valid", 1)
        return self.layout.field(key.target[0], key.target[1])

    def _key(self, key: KeyField, first: int, count: int) -> list[str]:
        place = self._place(key)
        if place.varbit:
            raise ProgramError(f"a varbit field cannot be a key: {key.name}")
        lines = []
        for i in range(count):
            code = f"{place.code}[{i}]" if place.wide else place.code
            mask = "" if key.mask is None else f" & {literal(key.mask >> (64 * i) & ((1 << 64) - 1))}"
            lines.append(f"key[{first + i}] = {code}{mask};")
        return lines

    def _meter(self, name: str) -> list[str]:
        """Only a hit asks the direct meter, as on BMv2."""
        meter = self.program.meters[name]
        amount = "p->base.ingress_length" if meter.unit == "bytes" else "1"
        colour = f"p4_meter_colour(entry->meter, sw->now_us, {amount})"
        if meter.result is None:
            return [f"if (*hit) {colour};"]
        return [f"if (*hit) {self.layout.field(*meter.result).code} = {colour};"]

    def _resolve(self, table: Table, control: Control) -> list[str]:
        """Entry to member, or to group and by the selector's hash to one of its members."""
        profile = next(p for p in control.profiles if p.name == table.profile)
        lines = ["const struct p4_call *member = entry->member;"]
        if profile.selector_algorithm:
            calculation = self.actions.calculations[f"{profile.name}.selector"]
            lines += [
                "if (entry->group && entry->group->count)",
                f"    member = entry->group->members[calculate_{calculation}(sw, p) % entry->group->count];",
            ]
        return [
            *lines,
            "uint32_t action = member ? member->action : entry->action;",
            f"const uint64_t *params = member ? member->params : {self._params(table)};",
        ]


def table_comment(table: Table) -> str:
    return comment(table.source, f"table {table.name}")
