"""headers.c: extract, emit and compare, one function per header type; and the operations on headers and stacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from p4switch.codegen.layout import HeaderPlace, Layout, StackPlace, UnionPlace, limbs
from p4switch.codegen.text import plain
from p4switch.program import Field, HeaderType


@dataclass(frozen=True)
class Group:
    """Neighbouring fields that start and end at byte boundaries and fit 64 bits together, or one wider field."""

    at: int
    fields: tuple[Field, ...]

    @property
    def bits(self) -> int:
        return sum(f.width for f in self.fields)

    @property
    def whole(self) -> bool:
        return self.at % 8 == 0 and self.bits % 8 == 0 and self.bits <= 64


def groups(fields: Sequence[Field], start: int = 0) -> Iterator[Group]:
    """Cut fields at byte boundaries; a run that has none within 64 bits is cut after each field."""
    at, run, run_at = start, list[Field](), start
    for one in fields:
        run.append(one)
        at += one.width
        if at % 8 == 0 or at - run_at > 64:
            if at - run_at <= 64 or len(run) == 1:
                yield Group(run_at, tuple(run))
            else:
                place = run_at
                for each in run:
                    yield Group(place, (each,))
                    place += each.width
            run, run_at = [], at
    if run:
        yield Group(run_at, tuple(run))


def generate_headers(layout: Layout) -> str:
    out: list[str] = []
    for kind in layout.program.header_types.values():
        members = [h for h in layout.program.headers.values() if h.type == kind.name and not h.metadata]
        if members:
            out += [_size(layout, kind), _extract(layout, kind), _emit(layout, kind), _equal(layout, kind)]
    for name, parts in layout.union_types.items():
        out.append(_union_equal(layout, name, parts))
    return "\n".join(out)


def _size(layout: Layout, kind: HeaderType) -> str:
    varbit = kind.varbit
    extra = f" + h->{layout.fields[kind.name][varbit.name]}.bits / 8" if varbit else ""
    unused = "" if varbit else "    (void)h;\n"
    name = layout.types[kind.name]
    return (
        f"/* Bytes of a {plain(kind.name)} on the wire. */\n"
        f"static inline uint32_t bytes_of_{name}(const struct {name} *h) {{\n"
        f"{unused}    return {kind.bits // 8}{extra};\n}}\n"
    )


def _split(kind: HeaderType) -> tuple[tuple[Field, ...], Field | None, tuple[Field, ...]]:
    for i, one in enumerate(kind.fields):
        if one.varbit:
            return kind.fields[:i], one, kind.fields[i + 1 :]
    return kind.fields, None, ()


def _extract(layout: Layout, kind: HeaderType) -> str:
    """`bits` is the length of the varbit field; the caller has checked that there are bytes enough."""
    name, before, varbit, after = layout.types[kind.name], *_split(kind)
    lines = [
        f"/* header {plain(kind.name)}: {kind.bits} bits{' and a varbit' if varbit else ''} */",
        f"static void extract_{name}(struct {name} *h, const uint8_t *d{', uint32_t bits' if varbit else ''}) {{",
    ]
    if not kind.fields:
        lines.append("    (void)d;")
    lines += _extract_fields(layout, kind, before, "d", 0)
    if varbit:
        at = sum(f.width for f in before)
        field = f"h->{layout.fields[kind.name][varbit.name]}"
        lines.append(f"    {field}.bits = bits;")
        if at % 8 == 0:
            lines.append(f"    memcpy({field}.bytes, d + {at // 8}, bits / 8);")
        else:
            lines.append(f"    p4_copy_bits({field}.bytes, 0, d, {at}, bits);")
        lines.append("    d += bits / 8;")
        lines += _extract_fields(layout, kind, after, "d", at)
    return "\n".join([*lines, "    h->valid = 1;", "}\n"])


def _extract_fields(layout: Layout, kind: HeaderType, fields: Sequence[Field], data: str, start: int) -> list[str]:
    lines = []
    names = layout.fields[kind.name]
    for group in groups(fields, start):
        if group.whole and len(group.fields) == 1:
            lines.append(
                f"    h->{names[group.fields[0].name]} = p4_load({data} + {group.at // 8}, {group.bits // 8});"
            )
        elif group.whole:
            lines.append(f"    uint64_t w{group.at} = p4_load({data} + {group.at // 8}, {group.bits // 8});")
            left = group.bits
            for one in group.fields:
                left -= one.width
                shifted = f"w{group.at} >> {left}" if left else f"w{group.at}"
                mask = f" & {hex((1 << one.width) - 1)}" if left + one.width < group.bits else ""
                lines.append(f"    h->{names[one.name]} = {shifted}{mask};")
        else:
            at = group.at
            for one in group.fields:
                target = f"h->{names[one.name]}"
                if one.width > 64:
                    lines.append(f"    p4w_get_bits({target}, {limbs(one.width)}, {data}, {at}, {one.width});")
                else:
                    lines.append(f"    {target} = p4_get_bits({data}, {at}, {one.width});")
                at += one.width
    return lines


def _emit(layout: Layout, kind: HeaderType) -> str:
    name, before, varbit, after = layout.types[kind.name], *_split(kind)
    lines = [
        f"static uint8_t *emit_{name}(const struct {name} *h, uint8_t *d) {{",
        *_emit_fields(layout, kind, before, 0),
    ]
    if varbit:
        at = sum(f.width for f in before)
        field = f"h->{layout.fields[kind.name][varbit.name]}"
        if at % 8 == 0:
            lines.append(f"    memcpy(d + {at // 8}, {field}.bytes, {field}.bits / 8);")
        else:
            lines.append(f"    p4_copy_bits(d, {at}, {field}.bytes, 0, {field}.bits);")
        lines.append(f"    d += {field}.bits / 8;")
        lines += _emit_fields(layout, kind, after, at)
    if not kind.fields:
        lines.append("    (void)h;")
    return "\n".join([*lines, f"    return d + {kind.bits // 8};", "}\n"])


def _emit_fields(layout: Layout, kind: HeaderType, fields: Sequence[Field], start: int) -> list[str]:
    return [
        f"    {line}" for line in emit_lines([(f, f"h->{layout.fields[kind.name][f.name]}") for f in fields], start)
    ]


def emit_lines(fields: Sequence[tuple[Field, str]], start: int = 0, data: str = "d") -> list[str]:
    """Statements that write fields (with their C lvalues) one after another from bit `start` of `data` on."""
    lines = []
    codes = iter([code for _, code in fields])
    for group in groups([f for f, _ in fields], start):
        if group.whole:
            left, parts = group.bits, []
            for one in group.fields:
                left -= one.width
                parts.append(f"{next(codes)} << {left}" if left else next(codes))
            lines.append(f"p4_store({data} + {group.at // 8}, {group.bits // 8}, {' | '.join(parts)});")
        else:
            at = group.at
            for one in group.fields:
                put = "p4w_put_bits" if one.width > 64 else "p4_put_bits"
                lines.append(f"{put}({data}, {at}, {one.width}, {next(codes)});")
                at += one.width
    return lines


def _equal(layout: Layout, kind: HeaderType) -> str:
    """Both valid and all fields equal, as BMv2 compares."""
    name, names = layout.types[kind.name], layout.fields[kind.name]
    terms = ["a->valid && b->valid"]
    for one in kind.fields:
        field = names[one.name]
        if one.varbit:
            terms.append(f"a->{field}.bits == b->{field}.bits")
            terms.append(f"!memcmp(a->{field}.bytes, b->{field}.bytes, a->{field}.bits / 8)")
        elif one.width > 64:
            terms.append(f"!memcmp(a->{field}, b->{field}, sizeof a->{field})")
        else:
            terms.append(f"a->{field} == b->{field}")
    body = " &&\n           ".join(terms)
    return (
        f"static inline bool equal_{name}(const struct {name} *a, const struct {name} *b) {{\n"
        f"    return {body};\n}}\n"
    )


def _union_equal(layout: Layout, name: str, parts: tuple[tuple[str, str, str], ...]) -> str:
    terms = [f"equal_{layout.types[kind]}(&a->{member}, &b->{member})" for _, member, kind in parts]
    struct = layout.types[name]
    body = " ||\n           ".join(terms)
    return (
        f"static inline bool equal_{struct}(const struct {struct} *a, const struct {struct} *b) {{\n"
        f"    return {body};\n}}\n"
    )


# Statements ------------------------------------------------------------------------------------


def invalidate_siblings(header: HeaderPlace) -> list[str]:
    return [f"{header.union}.{name}.valid = 0;" for name in header.siblings]


def set_valid(layout: Layout, header: HeaderPlace) -> list[str]:
    """A header that was invalid begins with zeros; the packet's length grows."""
    name = layout.packet_type(header)
    lines = [
        f"if (!{header.code}.valid) {{",
        f"    memset(&{header.code}, 0, sizeof {header.code});",
        f"    {header.code}.valid = 1;",
        f"    p->base.length += bytes_of_{name}(&{header.code});",
        "}",
    ]
    return lines + invalidate_siblings(header)


def set_invalid(layout: Layout, header: HeaderPlace) -> list[str]:
    name = layout.packet_type(header)
    return [
        f"if ({header.code}.valid) p->base.length -= bytes_of_{name}(&{header.code});",
        f"{header.code}.valid = 0;",
    ]


def assign_header(to: HeaderPlace, source: HeaderPlace) -> list[str]:
    if to.siblings:
        clear = " ".join(invalidate_siblings(to))
        return [
            f"if ({source.code}.valid) {{ {to.code} = {source.code}; {clear} }}",
            f"else {to.code}.valid = 0;",
        ]
    return [f"if ({source.code}.valid) {to.code} = {source.code};", f"else {to.code}.valid = 0;"]


def assign_union(to: UnionPlace, source: UnionPlace) -> list[str]:
    return [f"{to.code} = {source.code};"]


def assign_stack(to: StackPlace, source: StackPlace) -> list[str]:
    return [f"memcpy({to.code}, {source.code}, sizeof {to.code});", f"{to.next} = {source.next};"]


def shift_stack(layout: Layout, stack: StackPlace, count: str, front: bool) -> list[str]:
    """push_front (`front`) or pop_front by `count` elements; those that come free are invalid."""
    size, code = stack.size, stack.code
    lines = ["{", f"    uint64_t k = p4_umin({count}, {size});"]
    if front:
        lines += [
            f"    memmove({code} + k, {code}, ({size} - k) * sizeof {code}[0]);",
            "    for (uint64_t i = 0; i < k; i++) {",
        ]
    else:
        lines += [
            f"    memmove({code}, {code} + k, ({size} - k) * sizeof {code}[0]);",
            f"    for (uint64_t i = {size} - k; i < {size}; i++) {{",
        ]
    if stack.union:
        lines += [f"        {code}[i].{member}.valid = 0;" for _, member, _ in layout.union_types[stack.type]]
    else:
        lines.append(f"        {code}[i].valid = 0;")
    lines.append("    }")
    if front:
        lines.append(f"    {stack.next} = (uint32_t)p4_umin({stack.next} + k, {size});")
    else:
        lines.append(f"    {stack.next} = k < {stack.next} ? {stack.next} - (uint32_t)k : 0;")
    return [*lines, "}"]
