"""deparser.c: the valid headers in order, then the payload."""

from __future__ import annotations

from p4switch.codegen.actions import Actions
from p4switch.codegen.expressions import Translator
from p4switch.codegen.layout import Layout
from p4switch.codegen.text import plain


def generate_deparser(layout: Layout, actions: Actions) -> str:
    deparser = layout.program.deparser
    translator = Translator(layout)
    before = [line for item in deparser.primitives for line in actions.primitive(item, translator)]
    size = ["static uint32_t deparsed_size(const struct packet *p) {", "    uint32_t size = 0;", "    (void)p;"]
    emit = ["static void deparse(const struct packet *p, uint8_t *d) {", "    (void)p, (void)d;"]
    for name in deparser.order:
        header = layout.header(name)
        kind = layout.packet_type(header)
        size.append(f"    if ({header.code}.valid) size += bytes_of_{kind}(&{header.code});")
        emit.append(f"    if ({header.code}.valid) d = emit_{kind}(&{header.code}, d);")
    prepare = ["static void before_deparsing(struct p4 *sw, struct packet *p) {", "    (void)sw, (void)p;"]
    prepare += [f"    {line}" for line in before]
    return "\n".join(
        [
            *prepare,
            "}",
            "",
            *size,
            "    return size;",
            "}",
            "",
            f"/* deparser {plain(deparser.name)}; d has room for deparsed_size() bytes */",
            *emit,
            "}",
            "",
        ]
    )
