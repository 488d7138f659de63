"""step.c: a packet's way through the switch as simple_switch does it: ingress, traffic manager, egress, again."""

from __future__ import annotations

from p4switch.codegen.actions import Actions
from p4switch.codegen.expressions import Translator
from p4switch.codegen.layout import Layout, limbs
from p4switch.codegen.nodes import Load
from p4switch.codegen.tables import Tables
from p4switch.codegen.text import plain, quoted
from p4switch.errors import ProgramError
from p4switch.program import FieldList, mentions

QUEUE_DEPTHS = frozenset(("enq_qdepth", "deq_qdepth"))


class Step:
    def __init__(self, layout: Layout, actions: Actions, tables: Tables) -> None:
        self.layout = layout
        self.actions = actions
        self.tables = tables
        self.program = layout.program

    def generate(self) -> str:
        parts = [
            '#include "deparser.c"\n#include "trace.c"\n',
            self._metadata(),
            self._field_lists(),
            self._digests(),
            self._egress(),
            self._ingress(),
            _STEP.replace("@set_ingress", "\n    ".join(self._arrival())),
            self._description(),
        ]
        return "\n".join(parts)

    def _set(self, name: str, value: str) -> list[str]:
        """Assign to a standard metadata field where the program has it."""
        place = self.layout.find(name)
        if place is None or place.wide:
            return []
        mask = "" if place.width >= 64 else f" & {hex((1 << place.width) - 1)}"
        return [f"{place.code} = ({value}){mask};"]

    def _value(self, name: str, otherwise: str) -> str:
        place = self.layout.find(name)
        return otherwise if place is None else place.code

    # Metadata ----------------------------------------------------------------------------------

    def _metadata(self) -> str:
        codes = [self.layout.header(h.name).code for h in self.program.headers.values() if h.metadata]
        return "\n".join(
            [
                "/* What every packet begins with: no header valid, all metadata zero. */",
                "static void clear_packet(struct packet *p) {",
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
        )

    def _field_lists(self) -> str:
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
        return "\n".join([*lines, "    }", "}", ""])

    def _digests(self) -> str:
        lines = [
            "static void send_digest(struct p4 *sw, struct packet *p) {",
            "    uint64_t *w;",
            "    (void)sw, (void)w;",
            "    switch (p->base.digest) {",
        ]
        for one in self.program.digests.values():
            lines += self._digest(one)
        return "\n".join([*lines, "    }", "}", ""])

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

    # Egress and the way out --------------------------------------------------------------------

    def _egress(self) -> str:
        depth = "p4_queue_length(sw, port)" if mentions(self.program, QUEUE_DEPTHS) else "0"
        before = [
            *self._set("intrinsic_metadata.egress_global_timestamp", "sw->now_us"),
            *self._set("queueing_metadata.enq_timestamp", "sw->now_us"),
            *self._set("queueing_metadata.enq_qdepth", depth),
            *self._set("queueing_metadata.deq_timedelta", "0"),
            *self._set("queueing_metadata.deq_qdepth", depth),
            *self._set("standard_metadata.egress_port", "port"),
            *self._set("standard_metadata.egress_spec", "P4_DROP_PORT + 1"),
            *self._set("standard_metadata.packet_length", "p->base.length"),
        ]
        spec = self._value("standard_metadata.egress_spec", "0")
        text = _EGRESS.replace("@before", "\n    ".join(before)).replace("@spec", spec)
        text = text.replace("@set_rid", " ".join(self._set("intrinsic_metadata.egress_rid", "replica->instance")))
        for kind in ("EGRESS_CLONE", "RECIRCULATED"):
            text = text.replace(f"@set_{kind}", " ".join(self._set("standard_metadata.instance_type", f"P4_{kind}")))
        again = self._set("standard_metadata.packet_length", "p->base.frame_size")
        return text.replace("@set_length", " ".join(again))

    def _ingress(self) -> str:
        after = [
            *self._set("standard_metadata.parser_error", "p->base.parser_error"),
            *self._set("standard_metadata.checksum_error", "p->base.checksum_error"),
        ]
        text = _INGRESS.replace("@after_parsing", "\n    ".join(after))
        text = text.replace("@spec", self._value("standard_metadata.egress_spec", "0"))
        text = text.replace("@group", self._value("intrinsic_metadata.mcast_grp", "0"))
        text = text.replace("@set_rid", " ".join(self._set("intrinsic_metadata.egress_rid", "replica->instance")))
        port = self.layout.find("standard_metadata.ingress_port")
        text = text.replace("@copy_port", f"{port.code} = from->{port.code[3:]};" if port else "")
        for kind in ("INGRESS_CLONE", "RESUBMITTED", "REPLICATED", "NORMAL"):
            text = text.replace(f"@set_{kind}", " ".join(self._set("standard_metadata.instance_type", f"P4_{kind}")))
        return text.replace(
            "@set_length", " ".join(self._set("standard_metadata.packet_length", "p->base.ingress_length"))
        )

    def _arrival(self) -> list[str]:
        return [
            *self._set("standard_metadata.ingress_port", "port"),
            *self._set("standard_metadata.packet_length", "size"),
            *self._set("intrinsic_metadata.ingress_global_timestamp", "now_us"),
        ]

    # Description -------------------------------------------------------------------------------

    def _description(self) -> str:
        p = self.program
        from p4switch.codegen.parser import value_set_widths

        sets = value_set_widths(self.layout)

        def array(name: str, rows: list[str]) -> list[str]:
            return [f"static const struct p4_array_info {name}[] = {{", *(f"    {r}," for r in rows), "    {0}", "};"]

        lines = [
            *array("counter_infos", [f"{{{quoted(c.name)}, {c.size}, 0, true}}" for c in p.counters.values()]),
            *array(
                "meter_infos",
                [
                    f"{{{quoted(m.name)}, {m.size}, 0, {'true' if m.unit == 'bytes' else 'false'}}}"
                    for m in p.meters.values()
                ],
            ),
            *array(
                "register_infos",
                [f"{{{quoted(r.name)}, {r.size}, {limbs(r.width)}, false}}" for r in p.registers.values()],
            ),
            *array(
                "value_set_infos",
                [f"{{{quoted(v.name)}, 0, {sum(map(limbs, sets[v.name]))}, false}}" for v in p.value_sets.values()],
            ),
            "",
            "static const struct p4_program program = {",
            f"    {len(p.tables)}, {len(p.counters)}, {len(p.meters)}, {len(p.registers)}, {len(p.value_sets)},",
            "    table_infos, counter_infos, meter_infos, register_infos, value_set_infos, sizeof(struct packet),",
            "};",
            "",
            "struct p4 *p4_open(void) { return p4_create(&program); }",
            "",
        ]
        return "\n".join(lines)


def digest_width(layout: Layout, digest: FieldList, element: object) -> int:
    """Bits of one element of a digest."""
    if not isinstance(element, dict):
        raise ProgramError(f"digest {digest.name}: malformed element")
    translator = Translator(layout)
    node = translator.node(element)
    if isinstance(node, Load):
        return node.place.width
    return max(1, node.high.bit_length())


_EGRESS = """
static void recirculate(struct p4 *sw, const struct packet *from, const uint8_t *frame, uint32_t size) {
    struct packet *p = (struct packet *)(void *)p4_queue(sw, &from->base, false, 0);
    if (!p) {
        TRACE_NO_COPY(&from->base);
        return;
    }
    uint32_t round = p->base.round;
    clear_packet(p);
    keep_fields(from->base.recirculate, p, from);
    p->base.round = round;
    p->base.frame = frame;
    p->base.frame_size = p->base.length = p->base.ingress_length = size;
    p->base.truncate = UINT32_MAX;
    @set_RECIRCULATED
    @set_length
}

static void clone_at_egress(struct p4 *sw, const struct packet *from, const struct p4_replicas *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        const struct p4_replica *replica = &set->replica[i];
        struct packet *p = (struct packet *)(void *)p4_queue(sw, &from->base, true, replica->port);
        if (!p) {
            TRACE_NO_COPY(&from->base);
            return;
        }
        reset_metadata(p);
        keep_fields(from->base.clone_list, p, from);
        p->base.clone_session = p->base.recirculate = p->base.resubmit = p->base.digest = 0;
        p->base.exit = p->base.dropped = false;
        p->base.truncate = set->truncate ? set->truncate : UINT32_MAX;
        @set_EGRESS_CLONE
        @set_rid
    }
}

/* Egress, deparser, and out of the port, or around again. The packet is used up. */
static void leave(struct p4 *sw, struct packet *p, uint32_t port) {
    p->base.exit = false;
    @before
    TRACE(EGRESS, port);
    egress(sw, p);
    TRACE(LEFT, port, p->base.dropped, @spec, p->base.clone_session, p->base.recirculate);
    if (p->base.clone_session) {
        const struct p4_replicas *set = sw->sessions[p->base.clone_session - 1];
        if (set) clone_at_egress(sw, p, set);
    }
    if (@spec == P4_DROP_PORT || p->base.dropped) return;
    update_checksums(sw, p);
    before_deparsing(sw, p);
    TRACE(DEPARSE, port);
    uint32_t head = deparsed_size(p), rest = p->base.frame_size - p->base.parsed;
    if (head > P4_MAX_HEADERS || head + rest > P4_MAX_FRAME) {
        TRACE_LOST(LENGTH, head > P4_MAX_HEADERS ? P4_MAX_HEADERS : P4_MAX_FRAME);
        return;
    }
    /* What goes around again is whole, as on BMv2; so are multicast copies and clones. */
    uint32_t size = p->base.recirculate ? head + rest : (uint32_t)p4_umin(head + rest, p->base.truncate);
    uint8_t *d;
    if (p->base.recirculate) d = p4_arena(sw, head + rest);
    else if (size == head + rest) d = p4_emit(sw, port, size);
    else d = sw->scratch;
    if (!d) {
        TRACE_LOST(MEMORY, 0);
        return;
    }
    deparse(p, d);
    if (rest) memcpy(d + head, p->base.frame + p->base.parsed, rest);
    if (p->base.recirculate) recirculate(sw, p, d, size);
    else if (d == sw->scratch && (d = p4_emit(sw, port, size))) memcpy(d, sw->scratch, size);
    if (!p->base.recirculate && d) TRACE_SENT(port, size);
}
"""

_INGRESS = """
static void clone_at_ingress(struct p4 *sw, const struct packet *from, const struct p4_replicas *set) {
    struct packet *p = (struct packet *)(void *)sw->packets[1];
    for (uint32_t i = 0; i < set->count; i++) {
        const struct p4_replica *replica = &set->replica[i];
        if (sw->budget == 0) {
            TRACE_NO_COPY(&from->base);
            return;
        }
        sw->budget--;
        clear_packet(p);
        p->base.frame = from->base.frame;
        p->base.frame_size = from->base.frame_size;
        p->base.length = p->base.ingress_length = from->base.ingress_length;
        p->base.round = from->base.round;
        p->base.truncate = set->truncate ? set->truncate : UINT32_MAX;
        @copy_port
        parse(sw, p);
        verify_checksums(sw, p);
        reset_metadata(p);
        keep_fields(from->base.clone_list, p, from);
        @set_INGRESS_CLONE
        @set_rid
        leave(sw, p, replica->port);
    }
}

static void resubmit(struct p4 *sw, const struct packet *from) {
    struct packet *p = (struct packet *)(void *)p4_queue(sw, &from->base, false, 0);
    if (!p) {
        TRACE_NO_COPY(&from->base);
        return;
    }
    struct p4_packet base = p->base;
    clear_packet(p);
    keep_fields(from->base.resubmit, p, from);
    p->base.frame = base.frame;
    p->base.frame_size = base.frame_size;
    p->base.length = p->base.ingress_length = base.ingress_length;
    p->base.round = base.round;
    p->base.truncate = UINT32_MAX;
    @set_RESUBMITTED
    @set_length
}

static void multicast(struct p4 *sw, const struct packet *from, uint64_t group) {
    const struct p4_replicas *set = group < 65536 ? sw->groups[group] : NULL;
    struct packet *p = (struct packet *)(void *)sw->packets[2];
    for (uint32_t i = 0; set && i < set->count; i++) {
        const struct p4_replica *replica = &set->replica[i];
        if (sw->budget == 0) {
            TRACE_NO_COPY(&from->base);
            return;
        }
        sw->budget--;
        memcpy(p, from, sizeof *p);
        p->base.clone_session = p->base.resubmit = p->base.recirculate = p->base.digest = 0;
        p->base.truncate = UINT32_MAX;
        @set_REPLICATED
        @set_rid
        leave(sw, p, replica->port);
    }
}

/* Parser, ingress, and what the traffic manager makes of the packet. */
static void enter(struct p4 *sw, struct packet *p) {
    TRACE(ENTER, 0);
    parse(sw, p);
    verify_checksums(sw, p);
    @after_parsing
    TRACE(INGRESS, 0, p->base.checksum_error);
    ingress(sw, p);
    p->base.exit = false;
    TRACE(FATE, 0, p->base.dropped, p->base.resubmit, @group, @spec, p->base.clone_session, p->base.digest);
    if (p->base.clone_session) {
        const struct p4_replicas *set = sw->sessions[p->base.clone_session - 1];
        p->base.clone_session = 0;
        if (set) clone_at_ingress(sw, p, set);
    }
    if (p->base.digest) send_digest(sw, p);
    p->base.digest = 0;
    if (p->base.dropped) return;
    if (p->base.resubmit) {
        resubmit(sw, p);
    } else if (@group != 0) {
        multicast(sw, p, @group);
    } else if (@spec != P4_DROP_PORT) {
        uint32_t port = (uint32_t)@spec;
        @set_NORMAL
        leave(sw, p, port);
    }
}
"""

_STEP = """
/* One frame to its end; what comes of it is added to sw->out. The caller has the lock. */
void p4_step(struct p4 *sw, uint32_t port, const uint8_t *frame, uint32_t size, uint64_t now_us, uint64_t random) {
    struct packet *p = (struct packet *)(void *)sw->packets[0];
    if (size > P4_MAX_FRAME) return;
    sw->now_us = now_us;
    sw->random = random;
    sw->budget = P4_MAX_JOBS;
    clear_packet(p);
    p->base.frame = frame;
    p->base.frame_size = p->base.length = p->base.ingress_length = size;
    p->base.truncate = UINT32_MAX;
    @set_ingress
    TRACE_BEGIN(port, frame, size, now_us);
    enter(sw, p);
    TRACE_END();
    if (!sw->first) return;
    for (struct p4_job *job; (job = sw->first);) {
        sw->first = job->next;
        if (!sw->first) sw->last = NULL;
        if (job->egress) leave(sw, (struct packet *)(void *)job->packet, job->port);
        else enter(sw, (struct packet *)(void *)job->packet);
        TRACE_END();
    }
    p4_arena_reset(sw);
}
"""
