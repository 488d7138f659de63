"""This project's compiler and switch beside the real p4c and simple_switch_grpc.

Needs both on the PATH, or their folder as --bmv2 DIR; neither root nor interfaces. What is run:
  pairs    packet tests: tests/stf, and those of a p4c checkout if one is named. Each program is compiled by both
           compilers and both results run on both switches: the four must give the same packets
  json     raft.p4 and others: p4c's and p4compiler's JSON on BMv2, random entries and packets, the same packets
  features meters, counters, digests, value sets, random numbers: what can be seen of them on both switches
  fuzz     random entries and packets on BMv2 and p4switch; with --p4c DIR through its programs too
  record   the same for this repository's programs, and what BMv2 did goes to tests/p4switch/recorded.json.xz
  replay   p4switch against that recording: needs neither p4c nor BMv2
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from conformance.bmv2 import recording
from conformance.bmv2.features import compare
from conformance.bmv2.fuzz import Fuzz, Tally
from conformance.bmv2.pairs import (
    ENTRIES_DIFFER,
    P4C_DIFFERS,
    SWITCHES_DIFFER,
    Pairs,
    asks_bmv2_too_much,
    pairs_of,
)
from conformance.bmv2.process import ReferenceError, tool
from conformance.bmv2.recording import RecordingError
from conformance.bmv2.subjects import Subject, corpus, found_in, subjects
from p4switch.errors import PipelineError
from p4switch.pipeline.native import QUICK

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / "build" / "reference"


def say(line: str) -> None:
    print(line, flush=True)


def corpus_names() -> list[str]:
    lines = (REPOSITORY / "tests" / "corpus" / "stf.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pairs(given: argparse.Namespace) -> bool:
    """A line for each packet test, then a summary. Whether all agree."""
    found = list(pairs_of(REPOSITORY / "tests" / "stf"))
    if given.p4c:
        samples = given.p4c / "testdata" / "p4_16_samples"
        found += [(samples / f"{n}.p4", samples / f"{n}.stf") for n in corpus_names()]
    equal = unequal = 0
    with Pairs(BUILD / "pairs", given.bmv2) as runner:
        for program, script in found:
            if given.only and not given.only.search(program.stem):
                continue
            if asks_bmv2_too_much(script):
                say(f"-    {program.stem}: P4Runtime cannot ask BMv2 for its statements")
                continue
            verdict = runner.run(program, script)
            equal, unequal = equal + (not verdict.faults), unequal + bool(verdict.faults)
            note = "" if verdict.passed or verdict.faults else "p4c with BMv2 does not do what the test expects"
            note = P4C_DIFFERS.get(program.stem, note)
            say(f"{'FAIL' if verdict.faults else 'ok  '} {verdict.name}{note and f'  ({note})'}")
            for fault in verdict.faults:
                say(f"       {fault}")
    say(f"== {equal} of {equal + unequal} packet tests: both compilers, both switches, the same packets")
    return not unequal


def chosen(given: argparse.Namespace) -> list[Subject]:
    found = list(found_in(given.programs)) if given.programs else list(subjects())
    if given.p4c:
        found += corpus(given.p4c / "testdata", corpus_names())
    return [one for one in found if given.only is None or given.only.search(one.name)]


def fuzz(given: argparse.Namespace) -> bool:
    total, broken, kept = Tally(), 0, []
    with Fuzz(BUILD / "fuzz", given.bmv2, say, given.seed) as runner:
        for subject in chosen(given):
            try:
                if given.what == "json":
                    tally = runner.compare_compilers(subject)
                else:
                    tally, recorded = runner.run(subject, given.compiler)
                    kept.append(recorded)
            except (ReferenceError, PipelineError) as error:
                runner.stop()
                broken += 1
                say(f"-    {subject.name}: {error}")
                continue
            listed = ENTRIES_DIFFER if given.what == "json" else SWITCHES_DIFFER
            known = listed.get(subject.program.stem, "")
            known = "it reads the time" if tally.time else known
            total.packets += tally.packets
            total.differences += 0 if known else tally.differences
            state = "FAIL" if tally.differences and not known else "ok  "
            counts = f"{tally.packets} packets, {tally.forwarded} forwarded, {tally.differences} differences"
            counts += f" ({known})" if known and tally.differences else ""
            say(f"{state} {subject.name}: {counts}")
    say(f"== {total.packets} packets, {total.differences} differences; {broken} programs could not be compared")
    if given.what == "record" and not total.differences and not broken:
        recording.save(kept)
        say(f"recorded: {recording.FILE}, {recording.FILE.stat().st_size} bytes")
    return not total.differences


def features(given: argparse.Namespace) -> bool:
    good = True
    for name, fault, shown in compare(BUILD / "features", given.bmv2):
        good = good and not fault
        say(f"{'FAIL' if fault else 'ok  '} {name}: {fault or shown}")
    return good


def replay(given: argparse.Namespace) -> bool:
    packets = faults = 0
    cache = BUILD / "fuzz" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for one in recording.load():
        if given.only and not given.only.search(one.name):
            continue
        found = recording.play(one, cache, QUICK)
        count = sum(r.packets for r in one.rounds)
        packets, faults = packets + count, faults + len(found)
        say(f"{'FAIL' if found else 'ok  '} {one.name}: {count} packets, {len(found)} differences")
        for line in found[:3]:
            say(f"     {line}")
    say(f"== {packets} packets, {faults} differences")
    return not faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pairs", "features", "json", "fuzz", "record", "replay"))
    parser.add_argument("--bmv2", type=Path, metavar="DIR", help="folder of p4c-bm2-ss and simple_switch_grpc")
    parser.add_argument("--p4c", type=Path, metavar="DIR", help="a p4c checkout: its programs too")
    parser.add_argument("--programs", type=Path, metavar="DIR", help="fuzz, json: the v1model programs below DIR")
    parser.add_argument("--only", type=re.compile, metavar="REGEX", help="only programs of this name")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other random inputs")
    parser.add_argument("--compiler", choices=("ours", "p4c"), default="ours", help="whose JSON fuzz loads")
    given = parser.parse_args()
    try:
        if given.what == "replay":
            return 0 if replay(given) else 1
        tool("simple_switch_grpc", given.bmv2)
        if given.what in ("pairs", "json") or given.compiler == "p4c":
            tool("p4c-bm2-ss", given.bmv2)
        good = {"pairs": pairs, "features": features}.get(given.what, fuzz)(given)
    except (ReferenceError, RecordingError) as error:
        print(f"against_bmv2: {error}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
