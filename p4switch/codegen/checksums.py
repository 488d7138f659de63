"""checksums.c: the calculations (hashes over field lists), and checksum verification and update."""

from __future__ import annotations

from p4switch.codegen.actions import Actions
from p4switch.codegen.expressions import Json, Translator
from p4switch.codegen.headers import emit_lines
from p4switch.codegen.layout import Layout, Place, limbs
from p4switch.codegen.nodes import literal, words_literal
from p4switch.codegen.text import plain
from p4switch.errors import ProgramError
from p4switch.program import Calculation, Checksum, Field

_HASHES = {
    "crc16": "crc16",
    "crc16_custom": "crc16",
    "crc32": "crc32",
    "crc32_custom": "crc32",
    "crcCCITT": "crcCCITT",
    "csum16": "csum16",
    "cksum16": "csum16",
    "xor16": "xor16",
    "xor32": "xor32",
    "identity": "identity",
}


class _Part:
    """Inputs of one header, which are left out together where it is invalid. `guard` '' : always there."""

    def __init__(self, guard: str) -> None:
        self.guard = guard
        self.fields: list[tuple[Field, str]] = []
        self.varbit: Place | None = None

    @property
    def bits(self) -> int:
        return sum(f.width for f, _ in self.fields)


class Checksums:
    def __init__(self, layout: Layout, actions: Actions) -> None:
        self.layout = layout
        self.actions = actions
        self.program = layout.program

    def generate(self) -> str:
        out = ['#include "p4_hash.h"', ""]
        out += [self._calculation(c) for c in self.program.calculations.values()]
        for profile in self.program.profiles.values():
            if profile.selector_algorithm:
                name = f"{profile.name}.selector"
                out.append(self._calculation(Calculation(name, profile.selector_algorithm, profile.selector_input)))
        out += [self._verify(), self._update()]
        return "\n".join(out)

    # Calculations ------------------------------------------------------------------------------

    def _calculation(self, calculation: Calculation) -> str:
        name = self.actions.calculations[calculation.name]
        lines = [
            f"/* calculation {plain(calculation.name)}: {plain(calculation.algorithm)} */",
            f"static inline uint64_t calculate_{name}(struct p4 *sw, const struct packet *p) {{",
            "    (void)sw, (void)p;",
        ]
        parts = self._parts(calculation.inputs)
        payload = any(i["type"] == "payload" for i in calculation.inputs)
        if calculation.algorithm in ("random", "round_robin", "round_robin_consistent"):
            lines.append("    return p4_random(&sw->random);")
        elif calculation.algorithm not in _HASHES:
            raise ProgramError(f"hash algorithm {calculation.algorithm} is not supported")
        elif _HASHES[calculation.algorithm] == "csum16" and all(p.bits % 16 == 0 and not p.varbit for p in parts):
            lines += [f"    {line}" for line in self._sum(parts, payload)]
        else:
            lines += [f"    {line}" for line in self._hash(parts, payload, _HASHES[calculation.algorithm])]
        return "\n".join([*lines, "}", ""])

    def _parts(self, inputs: tuple[Json, ...]) -> list[_Part]:
        parts: list[_Part] = []
        for item in inputs:
            kind, value = item["type"], item["value"]
            if kind == "payload":
                continue
            if kind == "hexstr":
                width = int(item["bitwidth"])
                if not parts or parts[-1].guard or parts[-1].varbit:
                    parts.append(_Part(""))
                number = int(value, 16) & ((1 << width) - 1)
                code = literal(number) if width <= 64 else f"(const uint64_t[]){words_literal(number, limbs(width))}"
                parts[-1].fields.append((Field("", width), f"(uint64_t){code}" if width <= 64 else code))
                continue
            if kind not in ("field", "header"):
                raise ProgramError(f"a calculation over a {kind} is not supported")
            header = self.layout.header(value if kind == "header" else value[0])
            guard = "" if header.metadata else f"{header.code}.valid"
            fields = self.layout.type(header.type).fields
            chosen = fields if kind == "header" else [f for f in fields if f.name == value[1]]
            if kind == "field" and value[1] == "$valid$":
                parts.append(_Part(""))
                parts[-1].fields.append((Field("", 1), f"(uint64_t){header.code}.valid"))
                continue
            for one in chosen:
                if not parts or parts[-1].guard != guard or parts[-1].varbit:
                    parts.append(_Part(guard))
                place = self.layout.member(header, one)
                if one.varbit:
                    parts[-1].varbit = place
                else:
                    parts[-1].fields.append((one, place.code))
        return parts

    def _sum(self, parts: list[_Part], payload: bool) -> list[str]:
        """The Internet checksum without a buffer: each field adds its value, shifted to where it ends in a word."""
        lines = ["uint64_t sum = 0;"]
        for part in parts:
            at, body = 0, []
            for one, code in part.fields:
                at += one.width
                shift = -at % 16
                for word in range(limbs(one.width)):
                    value = f"{code}[{word}]" if one.width > 64 else code
                    if min(one.width - 64 * word, 64) + shift <= 32:
                        body.append(f"sum += {value}{f' << {shift}' if shift else ''};")
                    else:
                        body.append(
                            f"sum += p4_csum_fold({value}) << {shift};" if shift else f"sum += p4_csum_fold({value});"
                        )
            lines += [f"if ({part.guard}) {{", *(f"    {b}" for b in body), "}"] if part.guard else body
        if payload:
            lines.append("sum += p4_csum_bytes(p->base.frame + p->base.parsed, p->base.frame_size - p->base.parsed);")
        return [*lines, "return ~p4_csum_fold(sum) & 0xffff;"]

    def _hash(self, parts: list[_Part], payload: bool, algorithm: str) -> list[str]:
        """Put the bytes together, then hash them."""
        aligned = all(part.bits % 8 == 0 for part in parts)
        room = sum((part.bits + 7) // 8 + (part.varbit.width // 8 + 1 if part.varbit else 0) for part in parts) + 16
        if payload:
            lines = ["uint8_t *bytes = sw->scratch;", f"memset(bytes, 0, {room});"]
        else:
            lines = [f"uint8_t bytes[{room}] = {{0}};"]
        lines.append("uint32_t bits = 0;")
        for part in parts:
            lines += [f"if ({part.guard or 'true'}) {{"]
            if aligned:
                lines.append("    uint8_t *d = bytes + bits / 8;")
                lines += [f"    {line}" for line in emit_lines(part.fields)]
                lines.append(f"    bits += {part.bits};")
            else:
                for one, code in part.fields:
                    put = "p4w_put_bits" if one.width > 64 else "p4_put_bits"
                    lines.append(f"    {put}(bytes, bits, {one.width}, {code}); bits += {one.width};")
            if part.varbit:
                code = part.varbit.code
                lines.append(f"    p4_copy_bits(bytes, bits, {code}.bytes, 0, {code}.bits); bits += {code}.bits;")
            lines.append("}")
        lines.append("uint32_t size = (bits + 7) / 8;")
        if payload:
            lines += [
                "uint32_t rest = p->base.frame_size - p->base.parsed;",
                "memcpy(bytes + size, p->base.frame + p->base.parsed, rest);",
                "size += rest;",
            ]
        return [*lines, f"return p4_hash_{algorithm}(bytes, size);"]

    # Checksums ---------------------------------------------------------------------------------

    def _guarded(self, checksum: Checksum, body: list[str]) -> list[str]:
        translator = Translator(self.layout)
        header = self.layout.header(checksum.target[0])
        condition = translator.condition(checksum.condition) if checksum.condition else "true"
        terms = [condition]
        if checksum.verify and not header.metadata:
            terms.insert(0, f"{header.code}.valid")
        return [
            "{",
            *(f"    {s}" for s in translator.take()),
            f"    if ({' && '.join(terms)}) {{",
            *(f"        {b}" for b in body),
            "    }",
            "}",
        ]

    def _verify(self) -> str:
        lines = ["static void verify_checksums(struct p4 *sw, struct packet *p) {", "    (void)sw, (void)p;"]
        lines.append("    p->base.checksum_error = false;")
        for checksum in self.program.checksums:
            if checksum.verify:
                name = self.actions.calculation(checksum.calculation)
                target = self.layout.field(*checksum.target)
                code = f"{target.code}[0]" if target.wide else target.code
                body = [f"if (calculate_{name}(sw, p) != {code}) p->base.checksum_error = true;"]
                lines += [f"    {line}" for line in self._guarded(checksum, body)]
        return "\n".join([*lines, "}", ""])

    def _update(self) -> str:
        lines = ["static void update_checksums(struct p4 *sw, struct packet *p) {", "    (void)sw, (void)p;"]
        for checksum in self.program.checksums:
            if checksum.update:
                name = self.actions.calculation(checksum.calculation)
                target = self.layout.field(*checksum.target)
                mask = f" & {literal((1 << target.width) - 1)}" if target.width < 64 else ""
                if target.wide:
                    body = [f"p4w_set({target.code}, {target.limbs}, calculate_{name}(sw, p));"]
                else:
                    body = [f"{target.code} = calculate_{name}(sw, p){mask};"]
                lines += [f"    {line}" for line in self._guarded(checksum, body)]
        return "\n".join([*lines, "}", ""])
