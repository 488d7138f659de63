"""trace.c: for builds with -DP4_TRACE, where each header's fields stand in struct packet (see runtime/p4_trace.h)."""

from __future__ import annotations

from p4switch.codegen.layout import Layout
from p4switch.codegen.text import initializer, quoted

FIELD, VALIDITY, VARBIT = 0, 1, 2


def generate_trace(layout: Layout) -> str:
    lines = ["#ifdef P4_TRACE", "const struct p4_trace_field p4_trace_fields[] = {"]
    for header in layout.program.headers.values():
        place = layout.header(header.name)
        if not header.metadata:
            lines.append(_row(header.name, f"{place.code}.valid", 1, VALIDITY))
        for one in layout.type(header.type).fields:
            code = layout.member(place, one).code
            lines.append(_row(f"{header.name}.{one.name}", code, one.width, VARBIT if one.varbit else FIELD))
    return "\n".join([*lines, "    {0}", "};", "#endif", ""])


def _row(name: str, code: str, width: int, kind: int) -> str:
    offset = f"offsetof(struct packet, {code.removeprefix('p->')})"
    return f"    {initializer(name=quoted(name), offset=offset, width=width, kind=kind)},"
