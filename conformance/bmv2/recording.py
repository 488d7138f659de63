"""What BMv2 did with random entries and packets, compact enough to be kept with the tests.

A recording holds each program's text, the shape that its inputs were made from, and per round the seed, which
operations were taken, a hash of the inputs, and two bytes for what each packet led to (`differential.digest`).
So it goes on saying what BMv2 does after a program has changed, and needs neither BMv2 nor p4c to be played.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conformance.bmv2.differential import carry_out, digest, embedded, text
from conformance.bmv2.inputs import Round, make_round
from conformance.bmv2.shape import Shape
from p4compiler.compile import compile_file
from p4compiler.source import Diagnostics
from p4switch.pipeline.pipeline import Pipeline

FILE = Path(__file__).parent.parent.parent / "tests" / "p4switch" / "recorded.json.xz"


class RecordingError(Exception):
    """The recording cannot be used; the text says what to do."""


@dataclass(frozen=True)
class RecordedRound:
    """`taken`: one 0 or 1 per operation. `outcomes`: base64 of two bytes per packet."""

    seed: int
    packets: int
    inputs: str
    taken: str
    outcomes: str


@dataclass(frozen=True)
class Recorded:
    """One program. `files`: its texts by relative name; `main`: the one to compile."""

    name: str
    main: str
    include: str
    files: dict[str, str]
    shape: Shape
    mask: dict[str, list[list[int]]]
    rounds: list[RecordedRound] = field(default_factory=list)


def hash_inputs(given: Round) -> str:
    parts = [repr(one) for one in given.operations] + [f"{port} {frame.hex()}" for port, frame in given.frames]
    return hashlib.blake2s("\n".join(parts).encode(), digest_size=8).hexdigest()


def save(recorded: list[Recorded], file: Path = FILE) -> None:
    data = json.dumps([asdict(one) for one in recorded], separators=(",", ":")).encode()
    file.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def load(file: Path = FILE) -> list[Recorded]:
    found: list[dict[str, Any]] = json.loads(lzma.decompress(file.read_bytes()))
    return [Recorded(**{**one, "rounds": [RecordedRound(**r) for r in one["rounds"]]}) for one in found]


def packets_of(outcomes: str) -> Iterator[bytes]:
    data = base64.b64decode(outcomes)
    for at in range(0, len(data), 2):
        yield data[at : at + 2]


def play(recorded: Recorded, cache: Path, flags: tuple[str, ...], rounds: int | None = None) -> list[str]:
    """What the embedded switch does otherwise than BMv2 did, in lines. `rounds`: only so many of them."""
    with TemporaryDirectory(prefix="p4switch-recorded-") as name:
        folder = Path(name)
        for relative, content in recorded.files.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        include = [folder / recorded.include] if recorded.include else []
        compiled = compile_file(folder / recorded.main, Diagnostics(), include)
    faults: list[str] = []
    for one in recorded.rounds[:rounds]:
        given = make_round(recorded.shape, one.seed, one.packets)
        if hash_inputs(given) != one.inputs:
            raise RecordingError(
                f"{recorded.name}: the recording is of other inputs: conformance/bmv2/inputs.py has changed since. "
                "Record anew with BMv2: python -m conformance bmv2 record"
            )
        with Pipeline.load(compiled.json, cache=cache, flags=flags) as pipeline:
            faults += _play_round(recorded, one, given, pipeline)
    return faults


def _play_round(recorded: Recorded, one: RecordedRound, given: Round, pipeline: Pipeline) -> Iterator[str]:
    where = f"{recorded.name}, seed {one.seed}"
    for operation, was, now in zip(given.operations, one.taken, carry_out(pipeline, given.operations), strict=True):
        if was != str(int(now)):
            yield f"{where}: BMv2 {'takes' if was == '1' else 'refuses'} {operation}, p4switch does not"
    outcomes = zip(given.frames, packets_of(one.outcomes), embedded(pipeline, given, recorded.mask), strict=True)
    for at, ((port, frame), was_digest, frames) in enumerate(outcomes):
        if digest(frames) != was_digest:
            yield f"{where}: packet {at}, {frame.hex()} in at port {port}, gives: {text(frames)}; BMv2 gave otherwise"
