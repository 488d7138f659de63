"""step.c: the unit that is compiled. A packet's way itself is in runtime/p4_v1model.h, which it includes.

Generated are the list of the program's parts, how v1model reaches the program's metadata, and what arrays there are.
"""

from __future__ import annotations

from p4switch.codegen.expressions import Translator
from p4switch.codegen.layout import Layout, limbs
from p4switch.codegen.nodes import Load
from p4switch.codegen.parser import value_set_widths
from p4switch.codegen.text import initializer, plain, quoted
from p4switch.errors import ProgramError
from p4switch.program import FieldList, mentions

PARTS = {
    "types.h": "header types, and struct packet",
    "headers.c": "reading and writing headers",
    "parser.c": "parse",
    "checksums.c": "verify_checksums, update_checksums, hashes",
    "actions.c": "a function for each action",
    "tables.c": "a look-up for each table",
    "controls.c": "ingress, egress",
    "deparser.c": "before_deparsing, deparsed_size, deparse",
    "trace.c": "where a trace finds each field",
}
"""The files that step.c includes, in that order, with what is in them."""

READ = {
    "ingress_port": "standard_metadata.ingress_port",
    "egress_spec": "standard_metadata.egress_spec",
    "mcast_grp": "intrinsic_metadata.mcast_grp",
}
WRITTEN = {
    "ingress_port": "standard_metadata.ingress_port",
    "ingress_global_timestamp": "intrinsic_metadata.ingress_global_timestamp",
    "parser_error": "standard_metadata.parser_error",
    "checksum_error": "standard_metadata.checksum_error",
    "instance_type": "standard_metadata.instance_type",
    "packet_length": "standard_metadata.packet_length",
    "egress_rid": "intrinsic_metadata.egress_rid",
    "egress_port": "standard_metadata.egress_port",
    "egress_spec": "standard_metadata.egress_spec",
    "egress_global_timestamp": "intrinsic_metadata.egress_global_timestamp",
    "enq_timestamp": "queueing_metadata.enq_timestamp",
    "enq_qdepth": "queueing_metadata.enq_qdepth",
    "deq_timedelta": "queueing_metadata.deq_timedelta",
    "deq_qdepth": "queueing_metadata.deq_qdepth",
}
"""What p4_v1model.h reads and writes, by the names that simple_switch has for it."""
QUEUE_DEPTHS = frozenset(("enq_qdepth", "deq_qdepth"))


class Step:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.program = layout.program

    def generate(self) -> str:
        parts = [
            "/* The program as one unit. Its parts: */",
            *(f'#include "{name}" /* {what} */' for name, what in PARTS.items()),
            "",
            *self._metadata(),
            *self._accessors(),
            *self._field_lists(),
            *self._digests(),
            "/* A packet's way through these parts. */",
            '#include "p4_v1model.h"',
            "",
            *self._description(),
        ]
        return "\n".join(parts)

    # Metadata ----------------------------------------------------------------------------------

    def _metadata(self) -> list[str]:
        codes = [self.layout.header(h.name).code for h in self.program.headers.values() if h.metadata]
        return [
            "/* What every packet begins with: no header valid, all metadata zero. */",
            "static inline void clear_packet(struct packet *p) {",
            "    p4_clear(p, sizeof *p);",
            *(f"    {code}.valid = 1;" for code in codes),
            "}",
            "",
            "static void reset_metadata(struct packet *p) {",
            "    (void)p;",
            *(f"    p4_clear(&{code}, sizeof {code});\n    {code}.valid = 1;" for code in codes),
            "}",
            "",
        ]

    def _accessors(self) -> list[str]:
        """A line for each field of the standard metadata, also for those that the program does not have."""
        lines = ["/* Standard metadata. */"]
        for name, field in READ.items():
            place = self.layout.find(field)
            value = "0" if place is None or place.wide else place.code
            lines.append(f"static inline uint64_t {name}_of(const struct packet *p) {{ {_return(value)} }}")
        for name, field in WRITTEN.items():
            place = self.layout.find(field)
            body = "(void)p, (void)value;"
            if place is not None and not place.wide:
                mask = "" if place.width >= 64 else f" & {hex((1 << place.width) - 1)}"
                body = f"{place.code} = value{mask};"
            lines.append(f"static inline void set_{name}(struct packet *p, uint64_t value) {{ {body} }}")
        depth = "p4_queue_length(sw, port)" if mentions(self.program, QUEUE_DEPTHS) else "0"
        signature = "static inline uint64_t queue_depth(struct p4 *sw, uint32_t port)"
        return [*lines, f"{signature} {{ (void)sw, (void)port; return {depth}; }}", ""]

    def _field_lists(self) -> list[str]:
        lines = [
            "/* Copy the fields of a list that clone, resubmit or recirculate preserves. */",
            "static void keep_fields(uint32_t list, struct packet *to, const struct packet *from) {",
            "    (void)to, (void)from;",
            "    switch (list) {",
        ]
        for one in self.program.field_lists.values():
            lines.append(f"    case {one.id}:")
            for element in one.elements:
                if element["type"] != "field":
                    continue
                place = self.layout.field(element["value"][0], element["value"][1])
                path = place.code[3:]
                if place.wide:
                    lines.append(f"        memcpy(to->{path}, from->{path}, sizeof to->{path});")
                else:
                    lines.append(f"        to->{path} = from->{path};")
            lines.append("        break;")
        return [*lines, "    }", "}", ""]

    def _digests(self) -> list[str]:
        lines = [
            "static void send_digest(struct p4 *sw, struct packet *p) {",
            "    uint64_t *w;",
            "    (void)sw, (void)w;",
            "    switch (p->base.digest) {",
        ]
        for one in self.program.digests.values():
            lines += self._digest(one)
        return [*lines, "    }", "}", ""]

    def _digest(self, digest: FieldList) -> list[str]:
        translator = Translator(self.layout)
        body, words = [], 0
        for element in digest.elements:
            node = translator.node(element)
            count = limbs(digest_width(self.layout, digest, element))
            if count == 1:
                body += [*translator.take(), f"w[{words}] = {translator.u64(node)};"]
            else:
                code = translator.wide(node, count)
                body += [*translator.take(), f"p4w_copy(w + {words}, {count}, {code}, {count});"]
            words += count
        return [
            f"    case {digest.id}: /* {plain(digest.name)} */",
            f"        if (!(w = p4_record(sw, P4_DIGEST, {digest.id}, {8 * words}))) break;",
            *(f"        {line}" for line in body),
            "        break;",
        ]

    # Description -------------------------------------------------------------------------------

    def _description(self) -> list[str]:
        p, sets = self.program, value_set_widths(self.layout)
        counters = [initializer(name=quoted(c.name), size=c.size, bytes=True) for c in p.counters.values()]
        meters = [initializer(name=quoted(m.name), size=m.size, bytes=m.unit == "bytes") for m in p.meters.values()]
        registers = [
            initializer(name=quoted(r.name), size=r.size, words=limbs(r.width)) for r in p.registers.values()
        ]
        value_sets = [
            initializer(name=quoted(v.name), words=sum(map(limbs, sets[v.name]))) for v in p.value_sets.values()
        ]
        return [
            *_array("counter_infos", counters),
            *_array("meter_infos", meters),
            *_array("register_infos", registers),
            *_array("value_set_infos", value_sets),
            "",
            "static const struct p4_program program = {",
            f"    .tables = {len(p.tables)}, .table = table_infos,",
            f"    .counters = {len(p.counters)}, .counter = counter_infos,",
            f"    .meters = {len(p.meters)}, .meter = meter_infos,",
            f"    .registers = {len(p.registers)}, .reg = register_infos,",
            f"    .value_sets = {len(p.value_sets)}, .value_set = value_set_infos,",
            "    .packet_size = sizeof(struct packet),",
            "};",
            "",
            "struct p4 *p4_open(void) { return p4_create(&program); }",
            "",
        ]


def _return(value: str) -> str:
    return f"(void)p; return {value};" if value == "0" else f"return {value};"


def _array(name: str, rows: list[str]) -> list[str]:
    return [f"static const struct p4_array_info {name}[] = {{", *(f"    {row}," for row in rows), "    {0}", "};"]


def digest_width(layout: Layout, digest: FieldList, element: object) -> int:
    """Bits of one element of a digest."""
    if not isinstance(element, dict):
        raise ProgramError(f"digest {digest.name}: malformed element")
    translator = Translator(layout)
    node = translator.node(element)
    if isinstance(node, Load):
        return node.place.width
    return max(1, node.high.bit_length())
