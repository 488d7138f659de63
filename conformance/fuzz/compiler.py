"""Mutated P4 sources: each is compiled or refused in words, and what is compiled, the switch can read."""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path

from conformance.fuzz.cases import REPOSITORY, Corpus, Fault, Found, run_cases
from p4compiler.compile import compile_file
from p4compiler.source import CompileFailed, Diagnostics
from p4switch.codegen import generate
from p4switch.errors import PipelineError
from p4switch.program_json import parse_program

INCLUDE = [REPOSITORY / "tests" / "stf", REPOSITORY / "p4", REPOSITORY / "p4" / "include"]
WORDS = re.findall(
    r"\S+",
    """
bit<8> bit<1> bit<2048> bit<0> int<8> int<1> int varbit<32> bool error string void header struct header_union enum
typedef type control parser state transition select default accept reject table key actions entries const
default_action size apply action switch case if else for return exit break continue true false 0 1 2 255 65536
0xFFFFFFFFFFFFFFFFFF 8w255 8s127 1w1 -1 ( ) { } [ ] < > << >> + - * / % & | ^ ~ ! == != <= >= && || ++ |+| |-| &&& ..
... ? : ; , . = @name("x") @id(1) @atomic in out inout _ this extern package abstract tuple<bit<8>> list register
counter meter hash digest hdr meta sm isValid() setValid() push_front(1) pop_front(1) emit extract lookahead<bit<8>>()
advance(8) verify exact lpm ternary range optional priority main
""",
)
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|\w+|\s+|[^\w\s]", re.S)


def sources() -> list[str]:
    folder = REPOSITORY / "tests"
    files = [
        *sorted((folder / "stf").glob("*.p4")),
        folder / "p4switch" / "entities.p4",
        REPOSITORY / "p4" / "raft.p4",
    ]
    files += sorted((REPOSITORY / "p4" / "include").glob("*.p4"))
    return [file.read_text() for file in files]


class Mutator:
    def __init__(self, kept: Corpus) -> None:
        self.kept = kept
        self.seeds = sources()

    def make(self, chance: random.Random) -> str:
        pool = self.kept.texts if self.kept.texts and chance.random() < 0.5 else self.seeds
        tokens = TOKEN.findall(chance.choice(pool))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            self._mutate(tokens, chance)
        text = "".join(tokens)
        if chance.random() < 0.03:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(("\0", "\x7f", "é", "\\", "\n#", "\r", "*/", '"')) + text[at:]
        return text

    def _mutate(self, tokens: list[str], chance: random.Random) -> None:
        if not tokens:
            return
        at = chance.randrange(len(tokens))
        end = min(len(tokens), at + chance.choice((1, 1, 2, 3, 8, 30)))
        kind = chance.randrange(9)
        if kind == 0:
            del tokens[at:end]
        elif kind == 1:
            tokens[at:at] = tokens[at:end]
        elif kind == 2:
            other = chance.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif kind == 3:
            tokens[at] = f" {chance.choice(WORDS)} "
        elif kind == 4:
            tokens[at:at] = [f" {chance.choice(WORDS)} "]
        elif kind == 5:
            numbers = [i for i, t in enumerate(tokens) if t[0].isdigit()]
            if numbers:
                tokens[chance.choice(numbers)] = str(
                    chance.choice((0, 1, 7, 8, 9, 64, 65, 511, 2049, 1 << 32, 1 << 70))
                )
        elif kind == 6:
            names = [i for i, t in enumerate(tokens) if t[0].isalpha()]
            if names:
                tokens[chance.choice(names)] = tokens[chance.choice(names)]
        elif kind == 7:
            lines = chance.choice(self.seeds).splitlines(keepends=True)
            first = chance.randrange(len(lines))
            tokens[at:at] = ["\n", *lines[first : first + chance.randrange(1, 8)]]
        elif chance.random() < 0.3:
            depth = chance.choice((50, 300, 3000))
            opening, closing = chance.choice((("(", ")"), ("{", "}"), ("~", ""), ("-", ""), ("!", "")))
            tokens[at:at] = [f"{opening * depth}1{closing * depth}"]


def compile_case(text: str) -> str:
    """What it showed: the messages without names and numbers."""
    diagnostics = Diagnostics()
    with tempfile.TemporaryDirectory(prefix="p4-fuzz-") as folder:
        program = Path(folder) / "fuzz.p4"
        program.write_text(text)
        try:
            compiled = compile_file(program, diagnostics, INCLUDE)
            compiled.p4info_text()
        except CompileFailed:
            compiled = None
        except RecursionError:
            return "nested too deeply"
        messages = [one.render() for one in diagnostics]
    if compiled is None:
        if not diagnostics.error_count:
            raise Fault("refused without an error message")
        return " ".join(sorted({re.sub(r"'[^']*'|\d+", "", one.message)[:80] for one in diagnostics}))[:300]
    if diagnostics.error_count:
        raise Fault(f"compiled in spite of an error: {messages[0]}")
    try:
        generate(parse_program(compiled.json))
    except PipelineError as error:
        raise Fault(f"the switch refuses what the compiler wrote: {re.sub(r'[0-9]+', 'N', str(error))}") from None
    operations = {p["op"] for action in compiled.json["actions"] for p in action["primitives"]}
    return f"compiled: {' '.join(sorted(operations))}"


def fuzz(seed: int, seconds: float, folder: Path) -> Found:
    corpus = Corpus(folder, ".p4")
    return run_cases(seed, seconds, corpus, Mutator(corpus).make, compile_case)
