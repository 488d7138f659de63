"""Random packets, entries and edits through programs built with the address and undefined-behaviour sanitizers.

The sanitizer's library must be loaded before Python, so this runs in a process of its own (see `environment`).
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

from conformance.bmv2.differential import carry_out
from conformance.bmv2.inputs import Insert, make_round
from conformance.bmv2.shape import Shape, shape_of
from conformance.bmv2.subjects import RAFT
from conformance.fuzz.cases import LEAK_KB, REPOSITORY, Fault, Found, resident_kb
from p4compiler.compile import compile_file
from p4compiler.source import Diagnostics
from p4switch.errors import PipelineError
from p4switch.pipeline.native import FLAGS
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program_json import parse_program

SANITIZED = ("-O1", "-g", *FLAGS[1:], "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PACKETS = 400
SLICE_S = 8.0
"""How long one program runs before the next one's turn."""


def environment() -> dict[str, str]:
    """With the sanitizer's library first. Raises Fault if the compiler has none."""
    found = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(found).is_absolute():
        raise Fault("the C compiler has no address sanitizer: install libasan")
    return {**os.environ, "LD_PRELOAD": found, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}


def programs() -> list[Path]:
    stf = [one.with_suffix(".p4") for one in sorted((REPOSITORY / "tests" / "stf").glob("*.stf"))]
    return [REPOSITORY / "p4" / "raft.p4", REPOSITORY / "tests" / "p4switch" / "entities.p4", *stf]


def one_program(program: Path, chance: random.Random, folder: Path) -> int:
    """Packets that went through. A sanitizer that finds something ends the process."""
    include = [REPOSITORY / "p4" / "include"] if program.stem == "raft" else []
    compiled = compile_file(program, Diagnostics(), include)
    from p4compiler.p4info.writer import p4info

    shape: Shape = shape_of(parse_program(compiled.json), p4info(compiled.program))
    shape.update(RAFT if program.stem == "raft" else {})
    end, packets = time.monotonic() + SLICE_S, 0
    with Pipeline.load(compiled.json, cache=folder / "cache", flags=SANITIZED) as pipeline:
        while time.monotonic() < end:
            seed = chance.getrandbits(32)
            (folder / "current").write_text(f"{program} seed {seed}\n")
            given = make_round(shape, seed, PACKETS)
            carry_out(pipeline, given.operations)
            for at, (port, frame) in enumerate(given.frames):
                if at % 3 == 0:
                    frame = chance.randbytes(chance.randrange(400))
                pipeline.step(port, frame, seed + 1000 * at, at)
                packets += 1
                if at % 20 == 0:
                    _edit(pipeline, chance, [o for o in given.operations if isinstance(o, Insert)])
    return packets


def _edit(pipeline: Pipeline, chance: random.Random, inserts: list[Insert]) -> None:
    """Delete what is there, or insert one anew."""
    tables = [name for name in pipeline.program.tables if pipeline.entries(name)]
    if tables and chance.random() < 0.6:
        table = chance.choice(tables)
        entry = chance.choice(pipeline.entries(table))
        if not entry.const:
            pipeline.delete(table, entry.handle)
    elif inserts:
        try:
            carry_out(pipeline, [chance.choice(inserts)])
        except PipelineError:
            return


def fuzz(seed: int, seconds: float, folder: Path) -> Found:
    folder.mkdir(parents=True, exist_ok=True)
    chance, found, start = random.Random(seed), Found(), time.monotonic()
    begun = 0
    while time.monotonic() - start < seconds:
        found.cases += one_program(chance.choice(programs()), chance, folder)
        if not begun and time.monotonic() - start > seconds / 2:
            begun = resident_kb()
    (folder / "current").unlink(missing_ok=True)
    if begun and resident_kb() - begun > 3 * LEAK_KB:
        found.faults.append((f"memory grows: {begun} kB, then {resident_kb()} kB", f"seed {seed}"))
    return found
