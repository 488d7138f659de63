"""tshark with a generated dissector, and what it says of frames; beside it, what p4switch's trace says of them."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from p4compiler.compile import Compiled, compile_file
from p4compiler.source import Diagnostics
from p4compiler.wireshark.writer import dissector, filter_name
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf.runner import PACKET_INTERVAL_US, Run
from p4switch.stf.script import Expect, NoPacket, Packet, read
from p4switch.trace.events import Kind, Tracer

ETHERNET, USER0 = 1, 147
"""Link types of captures."""

Pairs = list[tuple[str, Any]]
Values = list[tuple[str, int | str]]
"""A frame's fields in order: header and field, without a stack's indexes, and the value; a text where it is none."""


def compiled(program: Path) -> Compiled:
    return compile_file(program, Diagnostics())


def write_dissector(program: Path, folder: Path, more: Sequence[str] = ()) -> Path:
    made = compiled(program)
    script = folder / f"{program.stem}.lua"
    script.write_text(dissector(made.json, made.program, more), encoding="utf-8")
    return script


def write_pcap(file: Path, link_type: int, frames: Iterable[bytes]) -> Path:
    with file.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type))
        for at, frame in enumerate(frames):
            out.write(struct.pack("<IIII", 1_000_000_000 + at, 0, len(frame), len(frame)) + frame)
    return file


def tshark(script: Path, pcap: Path, *words: str) -> str:
    """What it prints. It must say nothing of Lua's errors."""
    path = shutil.which("tshark")
    assert path is not None, "tshark is missing: scripts/setup.sh --wireshark installs it"
    finished = subprocess.run(
        [path, "-X", f"lua_script:{script}", "-r", str(pcap), *words], capture_output=True, text=True, check=False
    )
    told = [line for line in finished.stderr.splitlines() if "Running as user" not in line]
    assert finished.returncode == 0 and not told, finished.stderr
    assert "Lua Error" not in finished.stdout, finished.stdout
    return finished.stdout


def trees(script: Path, pcap: Path, *words: str, whole: bool = False) -> list[Pairs]:
    """By frame, the program's part of what tshark shows, as it is nested: pairs, as names may come more than once.
    `whole`: that of the whole frame, if both are shown."""
    text = tshark(script, pcap, "-T", "json", *words)
    found = []
    for packet in json.loads(text, object_pairs_hook=list):
        layers = dict(dict(packet)["_source"])["layers"]
        name = filter_name(f"{script.stem}.p4")
        parts = [value for key, value in layers if key in (name, f"{name}_frame")]
        found.append(parts[-1 if whole else 0] if parts else [])
    return found


def shown(script: Path, pcap: Path, *words: str, whole: bool = False) -> list[Values]:
    """By frame, the fields that tshark shows."""
    prefix = filter_name(f"{script.stem}.p4") + "."
    return [list(_values(one, prefix)) for one in trees(script, pcap, *words, whole=whole)]


def _values(pairs: Pairs, prefix: str) -> Iterable[tuple[str, int | str]]:
    for name, value in pairs:
        if isinstance(value, list):
            if name.startswith(prefix):
                yield from _values(value, prefix)
        elif name.startswith(prefix):
            yield name.removeprefix(prefix), _value(value)


def _value(text: str) -> int | str:
    if not text:
        return 0
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2})*", text) and (":" in text or not text.isdigit()):
        return int(text.replace(":", ""), 16)
    if re.fullmatch(r"\d+(\.\d+){3}", text):
        return int.from_bytes(bytes(map(int, text.split("."))), "big")
    return int(text, 0) if re.fullmatch(r"-?(\d+|0x[0-9a-f]+)", text) else text


def traced(program: Path, script: Path, cache: Path) -> list[tuple[int, bytes, Values]]:
    """By packet of an STF file: port, frame, and the fields that p4switch has when it has parsed it."""
    made = compiled(program)
    found = []
    with Pipeline.load(made.json, cache=cache) as pipeline:
        tracer = Tracer(pipeline, made.json, cache)
        tracer.choose(most=0)
        run = Run(pipeline)
        for at, one in enumerate(read(script), 1):
            if isinstance(one, Packet):
                events = tracer.step(one.port, one.frame, at * PACKET_INTERVAL_US, at)
                fields = next(event.fields for event in events if event.kind is Kind.PARSED)
                found.append((one.port, one.frame, parsed(made.json, fields)))
            elif not isinstance(one, Expect | NoPacket):
                run.run([one])
    return found


def parsed(bmv2_json: Mapping[str, Any], fields: Mapping[str, int]) -> Values:
    """The fields of headers that are valid, in the order of the program."""
    types = {one["name"]: one for one in bmv2_json["header_types"]}
    found: Values = []
    for header in bmv2_json["headers"]:
        if not header["metadata"] and fields.get(header["name"]) == 1:
            plain = re.sub(r"\[\d+\]", "", header["name"])
            for name, width, *signed in types[header["header_type"]]["fields"]:
                value = fields[f"{header['name']}.{name}"]
                if signed == [True] and value >> (width - 1):
                    value -= 1 << width
                if width != 0:
                    found.append((f"{plain}.{name}", value))
    return found
