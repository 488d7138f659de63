"""Our compiler and switch on the test programs of a p4c checkout: ``make test-corpus P4C=DIR``.

Parts, each with its bar:
  stf      v1model programs with a packet test, compiled by p4compiler, run by p4switch
  json     the same tests with JSON=DIR, a folder of NAME.json that p4c made
  p4info   P4Info of v1model programs, compared with p4c's as messages; a program that fails to compile is unequal
  errors   programs that p4c rejects, for the front end and v1model: rejected by an error message
  samples  programs that p4c accepts, for the front end and v1model: no error
What a part runs stands in tests/corpus/PART.txt, below the rule that chose it (``--write-lists`` applies it anew;
it needs p4c-bm2-ss on the PATH).
The programs stay in the checkout: none of them belongs to this repository.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from p4compiler.check.checker import check
from p4compiler.compile import Compiled, compile_file
from p4compiler.source import CompileFailed, Diagnostics, deep_recursion
from p4compiler.syntax.parser import parse as parse_program
from p4compiler.syntax.preprocessor import Preprocessor
from p4switch.errors import PipelineError
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import Run
from p4switch.stf.script import StfError, parse

LISTS = Path(__file__).parent.parent / "tests" / "corpus"
TIME_LIMIT = 120.0
"""Seconds after which a program counts as hanging."""
"""The generated C runs a handful of packets: compiling it is what costs."""


@dataclass(frozen=True)
class Part:
    """`needed`: how many must pass, or, below 1, which share of them."""

    name: str
    needed: float
    rule: str


STF = Part("stf", 180, "p4_16_samples/NAME.p4 that includes v1model.p4 and has NAME.stf")
JSON = Part("json", 184, STF.rule)
P4INFO = Part(
    "p4info",
    0.95,
    "p4_16_samples/NAME.p4 that includes v1model.p4 and has p4_16_samples_outputs/NAME.p4.p4info.txtpb,\n"
    "and that is a program: it has a main (p4c writes an empty P4Info for declarations alone)",
)
ERRORS = Part(
    "errors",
    0.9,
    "p4_16_errors/NAME.p4 whose recorded p4_16_errors_outputs/NAME.p4-stderr has an error,\n"
    "and that includes nothing beside core.p4, v1model.p4 and files of the samples",
)
SAMPLES = Part(
    "samples",
    1.0,
    "p4_16_samples/NAME.p4 whose recorded p4_16_samples_outputs/NAME.p4-stderr exists and has no error,\n"
    "and that includes nothing beside core.p4, v1model.p4 and files of the samples.\n"
    "Those records are of p4c's front end. A program with a V1Switch must pass our whole compiler, too;\n"
    "behind NAME stands 'front end only' where p4c-bm2-ss itself refuses that for BMv2",
)
PARTS = {p.name: p for p in (STF, JSON, P4INFO, ERRORS, SAMPLES)}
FRONT_END_ONLY = " front end only"
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]*)[>"]', re.M)


class Unequal(Exception):
    """The program did not do as p4c's; the text says what differs."""


# The lists ---------------------------------------------------------------------------------------


def choose(part: Part, testdata: Path) -> list[str]:
    """The names that the part's rule picks from a checkout."""
    folder = testdata / ("p4_16_errors" if part is ERRORS else "p4_16_samples")
    return [p.stem for p in sorted(folder.glob("*.p4")) if _belongs(part, p)]


def _belongs(part: Part, program: Path) -> bool:
    included = {Path(i).name for i in _INCLUDE.findall(program.read_text(errors="replace"))}
    if part in (STF, P4INFO) and "v1model.p4" not in included:
        return False
    if part is STF:
        return program.with_suffix(".stf").exists()
    outputs = program.parent.with_name(f"{program.parent.name}_outputs")
    if part is P4INFO:
        own = [program, *(p for i in included if (p := program.with_name(i)).exists())]
        has_main = any(re.search(r"\bmain\s*;", p.read_text(errors="replace")) for p in own)
        return has_main and (outputs / f"{program.name}.p4info.txtpb").exists()
    recorded = outputs / f"{program.name}-stderr"
    samples = program.parent.with_name("p4_16_samples")
    known = all(i in ("core.p4", "v1model.p4") or (samples / i).exists() for i in included)
    return known and recorded.exists() and bool(re.search(r"\berror:", recorded.read_text())) == (part is ERRORS)


def names_of(part: Part) -> list[str]:
    """The committed list, each name with its mark if it has one."""
    lines = (LISTS / f"{'stf' if part is JSON else part.name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def write_lists(testdata: Path) -> None:
    for part in (STF, P4INFO, ERRORS, SAMPLES):
        rule = "".join(f"# {line}\n" for line in part.rule.splitlines())
        names = choose(part, testdata)
        if part is SAMPLES:
            folder = testdata / "p4_16_samples"
            names = [n + FRONT_END_ONLY if refused_by_bmv2(folder / f"{n}.p4") else n for n in names]
        (LISTS / f"{part.name}.txt").write_text(rule + "".join(f"{n}\n" for n in names))
        print(f"{part.name}: {len(names)} programs")


def refused_by_bmv2(program: Path) -> bool:
    """Whether p4c's compiler for simple_switch finds an error in a v1model program that p4c's front end accepts."""
    if not is_v1model(program):
        return False
    command = ["p4c-bm2-ss", "--std", "p4-16", "-o", os.devnull, str(program)]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


# One program -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """A checkout's test data; `json`: p4c's compiled programs; `cache`: our built ones."""

    testdata: Path
    json: Path | None
    cache: Path

    def run(self, part: Part, name: str) -> None:
        """Unequal if the program does not pass."""
        name, mark, _ = name.partition(FRONT_END_ONLY)
        samples = self.testdata / "p4_16_samples"
        program = samples / f"{name}.p4"
        if part is STF:
            self._packets(samples / f"{name}.stf", compiled(program).json)
        elif part is JSON:
            assert self.json is not None
            self._packets(samples / f"{name}.stf", self.json / f"{name}.json")
        elif part is P4INFO:
            golden = self.testdata / "p4_16_samples_outputs" / f"{name}.p4.p4info.txtpb"
            compare_p4info(compiled(program).p4info_text(), golden.read_text())
        elif part is SAMPLES:
            refused = front_end(program)
            if refused is None and is_v1model(program) and not mark:
                refused = blocks(program)
            if refused:
                raise Unequal(refused)
        else:
            program = self.testdata / "p4_16_errors" / f"{name}.p4"
            if not (front_end(program) or (blocks(program) if is_v1model(program) else None)):
                raise Unequal("accepted")

    def _packets(self, script: Path, json: Path | dict[str, object]) -> None:
        try:
            with Pipeline.load(json, cache=self.cache, flags=QUICK) as pipeline:
                differences = Run(pipeline).run(parse(script.read_text()))
        except (StfError, PipelineError, OSError) as error:
            raise Unequal(str(error)) from None
        if differences:
            raise Unequal("; ".join(differences))


def is_v1model(program: Path) -> bool:
    """Whether it is a whole v1model program, not only declarations."""
    return bool(re.search(r"\bV1Switch\s*(<[^;()]*>\s*)?\(", program.read_text(errors="replace")))


def front_end(program: Path) -> str | None:
    """The first error of parser and type checker, which need no architecture."""
    diagnostics = Diagnostics()
    try:
        with deep_recursion():
            tokens = Preprocessor(diagnostics).run(program)
            parsed = parse_program(tokens, diagnostics)
            diagnostics.stop_if_errors()
            check(parsed, diagnostics)
    except CompileFailed:
        pass
    return first_error(diagnostics)


def blocks(program: Path) -> str | None:
    """The first error of the whole compiler, P4Info included."""
    try:
        compiled(program).p4info_text()
    except Unequal as error:
        return str(error)
    return None


def compiled(program: Path) -> Compiled:
    diagnostics = Diagnostics()
    try:
        return compile_file(program, diagnostics)
    except CompileFailed:
        raise Unequal(f"does not compile: {first_error(diagnostics)}") from None


def first_error(diagnostics: Diagnostics) -> str | None:
    for one in diagnostics:
        if one.severity == "error":
            line = f"line {one.location.source.position(one.location.start)[0]}: " if one.location else ""
            return line + one.message
    return None


def compare_p4info(ours: str, golden: str) -> None:
    from finsy.proto import p4i
    from google.protobuf import text_format

    a, b = (text_format.Parse(text, p4i.P4Info()) for text in (ours, golden))
    if a != b:
        lines = [text_format.MessageToString(m).splitlines() for m in (a, b)]
        for mine, theirs in zip(*lines, strict=False):
            if mine != theirs:
                raise Unequal(f"P4Info: {mine.strip()} where p4c has {theirs.strip()}")
        raise Unequal("P4Info: one is longer")


# Many, each in a process of its own: a crash or a hang is that program's alone ----------------------


def _child(work: Callable[[], None], pipe: Connection) -> None:
    try:
        work()
        pipe.send("")
    except Unequal as error:
        pipe.send(str(error).splitlines()[0])
    except BaseException as error:
        pipe.send(f"TRACEBACK {type(error).__name__}: {error}")


def run_all(works: Iterable[tuple[str, Callable[[], None]]], jobs: int) -> Iterator[tuple[str, str]]:
    """Name and fault ('' for none) of each, as they end."""
    context = multiprocessing.get_context("fork")
    waiting, running = list(works)[::-1], dict[Connection, tuple[str, BaseProcess, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            name, work = waiting.pop()
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_child, args=(work, theirs))
            process.start()
            theirs.close()
            running[ours] = name, process, time.monotonic()
        ended = [c for c in wait(list(running), timeout=1) if isinstance(c, Connection)]
        for pipe, (name, process, start) in list(running.items()):
            if pipe in ended:
                try:
                    fault = str(pipe.recv())
                except EOFError:
                    fault = "CRASH of the process"
            elif time.monotonic() - start > TIME_LIMIT:
                fault = f"HANG: no end after {TIME_LIMIT:.0f} s"
                process.kill()
            else:
                continue
            process.join()
            pipe.close()
            del running[pipe]
            yield name, fault


def run_part(part: Part, corpus: Corpus, jobs: int, only: re.Pattern[str] | None) -> bool:
    """Prints a line for each program, then a summary. Whether the bar is reached."""
    names = [n for n in names_of(part) if only is None or only.search(n)]
    width = max(map(len, names), default=0)
    passed = broken = 0

    def work(name: str) -> Callable[[], None]:
        return lambda: corpus.run(part, name)

    for name, fault in run_all(((n, work(n)) for n in names), jobs):
        passed += not fault
        broken += fault.startswith(("TRACEBACK", "CRASH", "HANG"))
        print(f"{part.name:8}{'FAIL' if fault else 'ok  '} {name:{width}} {fault}".rstrip(), flush=True)
    needed = part.needed if part.needed > 1 else part.needed * len(names)
    good = passed >= needed and not (broken and part in (ERRORS, SAMPLES))
    share = f"{100 * passed / len(names):.1f} %" if names else "-"
    print(
        f"== {part.name}: {passed} of {len(names)} ({share}; at least {needed:.0f}), "
        f"{broken} with traceback, crash or hang: {'good' if good else 'TOO FEW'}\n",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("p4c", nargs="?", type=Path, help="the p4c checkout")
    parser.add_argument("--json", metavar="DIR", help="p4c's NAME.json: also runs the part json")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument(
        "--only", type=re.compile, metavar="REGEX", help="only programs of this name; bars still hold"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=Path("build/corpus-cache"), help="built programs are kept here")
    parser.add_argument("--write-lists", action="store_true", help="choose the programs anew by the rules")
    given = parser.parse_args()
    if given.p4c is None or not str(given.p4c).strip():
        return usage("which p4c? `git clone --depth 1 https://github.com/p4lang/p4c`, then make test-corpus P4C=p4c")
    testdata = given.p4c / "testdata"
    if not (testdata / "p4_16_samples").is_dir():
        return usage(f"{given.p4c} is no p4c checkout: it has no testdata/p4_16_samples")
    json = Path(given.json) if given.json else None
    if json is not None and not any(json.glob("*.json")):
        return usage(f"JSON={json}: no NAME.json in there")
    if given.write_lists:
        write_lists(testdata)
        return 0
    chosen = [PARTS[n] for n in given.part or [n for n in PARTS if n != "json" or json]]
    if JSON in chosen and json is None:
        return usage("part json needs --json DIR")
    given.cache.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(testdata, json, given.cache)
    results = [run_part(p, corpus, given.jobs, given.only) for p in chosen]
    return 0 if all(results) else 1


def usage(message: str) -> int:
    print(f"test-corpus: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
