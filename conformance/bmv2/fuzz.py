"""A subject's rounds on both switches, with BMv2 there; and the recording of what it did."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from finsy.proto import p4i

from conformance.bmv2.device import Device
from conformance.bmv2.differential import Frames, carry_out, digest, embedded, on_bmv2, text
from conformance.bmv2.inputs import make_round
from conformance.bmv2.pairs import Built, build_ours, build_theirs
from conformance.bmv2.process import Bmv2
from conformance.bmv2.recording import Recorded, RecordedRound, hash_inputs
from conformance.bmv2.shape import Shape, shape_of
from conformance.bmv2.subjects import Subject
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline

MOST_SHOWN = 3
_NO_INFO = p4i.P4Info()


@dataclass
class Tally:
    """Packets of one subject: all, those that led to any, and the differences. `time`: they may carry times."""

    packets: int = 0
    forwarded: int = 0
    differences: int = 0
    time: bool = False


class Fuzz:
    """Runs subjects on one BMv2 process, or a new one after it ended."""

    def __init__(self, folder: Path, tools: Path | None, say: Callable[[str], None], seed: int = 0) -> None:
        self.folder, self.tools, self.say, self.seed = folder, tools, say, seed
        self._switch: Bmv2 | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Fuzz:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._switch is not None:
            self._switch.close()
            self._switch = None

    def switch(self) -> Bmv2:
        if self._switch is None:
            self._switch = Bmv2(self.tools)
        return self._switch

    def run(self, subject: Subject, compiler: str) -> tuple[Tally, Recorded]:
        """`compiler`: ours or p4c. Raises ReferenceError if BMv2 ends, or a compiler refuses."""
        if compiler == "p4c":
            built = build_theirs(subject.program, self.folder, self.tools, subject.include)
        else:
            built = build_ours(subject.program, self.folder, subject.include)
        tally, shape, recorded = Tally(), None, None
        for number in range(subject.rounds):
            with (
                Device(self.switch(), built.json, built.info) as device,
                Pipeline.load(built.json, cache=self.folder / "cache", flags=QUICK) as pipeline,
            ):
                shape = shape or {**shape_of(pipeline.program, device.info), **subject.hints}
                recorded = recorded or _empty(subject, shape)
                tally.time = bool(shape["time"]) and not subject.mask
                seed = self.seed + number + 1
                recorded.rounds.append(self._round(subject, shape, seed, device, pipeline, tally))
        assert recorded is not None
        return tally, recorded

    def _round(
        self, subject: Subject, shape: Shape, seed: int, device: Device, pipeline: Pipeline, tally: Tally
    ) -> RecordedRound:
        given = make_round(shape, seed, subject.packets)
        taken = carry_out(device, given.operations)
        for operation, there, here in zip(
            given.operations, taken, carry_out(pipeline, given.operations), strict=True
        ):
            if there != here:
                tally.differences += 1
                self.say(f"     seed {seed}: BMv2 {'takes' if there else 'refuses'} {operation}, p4switch does not")
        outcomes = b""
        sequential = bool(shape["sequential"])
        both = zip(
            given.frames,
            on_bmv2(device, given, subject.mask, sequential),
            embedded(pipeline, given, subject.mask),
            strict=True,
        )
        for at, ((port, frame), there_out, here_out) in enumerate(both):
            outcomes += digest(there_out)
            tally.packets += 1
            tally.forwarded += bool(there_out)
            if there_out != here_out:
                tally.differences += 1
                if tally.differences <= MOST_SHOWN:
                    self._show(seed, at, port, frame, there_out, here_out)
        return RecordedRound(
            seed,
            subject.packets,
            hash_inputs(given),
            "".join(str(int(one)) for one in taken),
            base64.b64encode(outcomes).decode(),
        )

    def _show(self, seed: int, at: int, port: int, frame: bytes, there: Frames, here: Frames) -> None:
        self.say(f"     seed {seed}, packet {at}: {frame.hex()} in at port {port}")
        self.say(f"       BMv2:     {text(there)}")
        self.say(f"       p4switch: {text(here)}")

    def compare_compilers(self, subject: Subject) -> Tally:
        """Both compilers' JSON on BMv2, the same packets. Raises ReferenceError."""
        ours = build_ours(subject.program, self.folder, subject.include)
        theirs = build_theirs(subject.program, self.folder, self.tools, subject.include)
        time = bool(shape_of(Device.read_program(ours.json), _NO_INFO)["time"]) and not subject.mask
        tally = Tally(time=time)
        for number in range(subject.rounds):
            seed = self.seed + number + 1
            results = [self._outcomes(subject, built, ours, seed) for built in (theirs, ours)]
            given, p4c = results[0]
            for at, ((port, frame), there, here) in enumerate(zip(given, p4c, results[1][1], strict=True)):
                tally.packets += 1
                tally.forwarded += bool(there)
                if there != here:
                    tally.differences += 1
                    if tally.differences <= MOST_SHOWN:
                        self.say(f"     seed {seed}, packet {at}: {frame.hex()} in at port {port}")
                        self.say(f"       p4c's JSON:        {text(there)}")
                        self.say(f"       p4compiler's JSON: {text(here)}")
        return tally

    def _outcomes(
        self, subject: Subject, built: Built, ours: Built, seed: int
    ) -> tuple[tuple[tuple[int, bytes], ...], list[Frames]]:
        """Inputs come from our JSON's shape for both; names are the P4Info's, the same in both."""
        with Device(self.switch(), built.json, built.info) as device:
            program = Device.read_program(ours.json)
            shape = {**shape_of(program, device.info), **subject.hints}
            given = make_round(shape, seed, subject.packets)
            carry_out(device, given.operations)
            return given.frames, list(on_bmv2(device, given, subject.mask, bool(shape["sequential"])))


def _empty(subject: Subject, shape: Shape) -> Recorded:
    """With the texts of the program and of what it includes."""
    base = subject.program.parent
    sources = [subject.program, *(file for folder in subject.include for file in sorted(folder.glob("*.p4")))]
    if base.name == "stf":
        sources += [base / "blocks.p4", base / "types.p4"]
    files = {str(file.relative_to(base)): file.read_text() for file in sources}
    include = str(subject.include[0].relative_to(base)) if subject.include else ""
    return Recorded(
        subject.name,
        subject.program.name,
        include,
        files,
        shape,
        {k: [list(x) for x in v] for k, v in subject.mask.items()},
    )
