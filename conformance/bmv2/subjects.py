"""The programs whose behaviour under random entries and packets is compared, and what each needs beside its shape."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent.parent
ADDRESSES = (0x0A000001, 0x0A000002, 0x0A000101, 0x0A006401)
RAFT: Mapping[str, Any] = {
    # Never within the switch's uptime: what the program decides by time is the same at any speed.
    "params": {"window_us": [1 << 46]},
    "ports": [1, 2, 3, 4, 510],
    "usual": {
        "raft.version": [1],
        "raft.type": list(range(1, 20)),
        "raft.flags": [0, 0, 0, 1, 2, 8],
        "reserved": [0],
        "raft.term": [1, 2, 3, 4],
        "log_term": [1],
        "index": [1, 2, 3],
        "commit": [1, 2],
        "group": [1, 2, 3],
        "target": [1, 2, 3, 255],
        "source": [0, 1, 2, 3],
        "slot": [0, 1, 2, 63],
        "leader": [0, 1, 2, 3],
        "frag_offset": [0],
        "ipv4.flags": [0],
        "dst_port": [26410],
        "src_addr": ADDRESSES[:3],
        "dst_addr": ADDRESSES,
        "address": ADDRESSES,
    },
}
LEFT_OUT = {
    "random_number": "random numbers",
    "assert_and_log": "BMv2 ends at an assert that fails",
    "header_stack_runtime_index": "BMv2 ends at an index past a stack's end",
}
"""Programs of tests/stf that are not compared, and why."""
WHOLE = (
    "conditional_expression",
    "drop_in_egress",
    "header_equality",
    "header_stack_index",
    "header_stack_push_pop",
    "mark_to_drop",
    "recirculate",
    "registers",
    "truncate",
)
"""Programs that read headers without asking whether they are there. They get no packet that is too short: an invalid
header's fields hold anything (in BMv2 those of an earlier packet)."""


@dataclass(frozen=True)
class Subject:
    """`hints`: over the shape's own values. `mask`: per egress port, bytes that time decides."""

    program: Path
    rounds: int
    packets: int
    include: tuple[Path, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)
    mask: Mapping[str, list[list[int]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.program.parent.name}/{self.program.stem}"


def subjects() -> Iterator[Subject]:
    """This repository's: 100,000 packets and a few."""
    raft = REPOSITORY / "p4" / "raft.p4"
    # A packet-in's header ends with two times: when the leader was last heard, and now.
    yield Subject(raft, 20, 1000, (raft.parent / "include",), RAFT, {"510": [[12, 24]]})
    yield Subject(REPOSITORY / "tests" / "p4switch" / "entities.p4", 20, 1000)
    for script in sorted((REPOSITORY / "tests" / "stf").glob("*.stf")):
        if script.stem not in LEFT_OUT:
            hints = {"whole": True} if script.stem in WHOLE else {}
            yield Subject(script.with_suffix(".p4"), 2, 320, hints=hints)


def corpus(testdata: Path, names: list[str]) -> Iterator[Subject]:
    """The subjects of a p4c checkout."""
    for name in names:
        yield Subject(testdata / "p4_16_samples" / f"{name}.p4", 1, 200, hints={"whole": True})


def found_in(folder: Path) -> Iterator[Subject]:
    """Every whole v1model program of a folder and those below it."""
    for program in sorted(folder.rglob("*.p4")):
        text = program.read_text(errors="replace")
        if re.search(r"^\s*#\s*include\s*<v1model.p4>", text, re.M) and re.search(r"\bV1Switch\s*\(", text):
            yield Subject(program, 1, 200, hints={"whole": True})
