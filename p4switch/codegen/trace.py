"""trace.c: for builds with -DP4_TRACE, where each header's fields stand in struct packet (see runtime/p4_trace.h)."""

from __future__ import annotations

from p4switch.codegen.layout import Layout, limbs
from p4switch.codegen.text import initializer, quoted

FIELD, VALIDITY, VARBIT = 0, 1, 2


def generate_trace(layout: Layout) -> str:
    lines = ["#ifdef P4_TRACE", "const struct p4_trace_field p4_trace_fields[] = {"]
    for header in layout.program.headers.values():
        place = layout.header(header.name)
        valid = f"{place.code}.valid"
        if not header.metadata:
            lines.append(_row(header.name, valid, 1, VALIDITY, valid))
        for one in layout.type(header.type).fields:
            code = layout.member(place, one).code
            kind = VARBIT if one.varbit else FIELD
            lines.append(_row(f"{header.name}.{one.name}", code, one.width, kind, "" if header.metadata else valid))
    return "\n".join([*lines, "    {0}", "};", "#endif", ""])


def _row(name: str, code: str, width: int, kind: int, validity: str) -> str:
    offset = _offset(code)
    words = f"({offset} % 8 + {stored_size(width, kind) + 7}) / 8"
    where = {"offset": offset, "width": width, "kind": kind, "words": words}
    if validity and kind != VALIDITY:
        where["validity"] = _offset(validity)
    return f"    {initializer(name=quoted(name), **where)},"


def _offset(code: str) -> str:
    return f"offsetof(struct packet, {code.removeprefix('p->')})"


def stored_size(width: int, kind: int) -> int:
    """Bytes that a field takes in struct packet."""
    if kind == VALIDITY:
        return 1
    return 8 * limbs(width) if kind == FIELD else 4 + (width + 7) // 8
