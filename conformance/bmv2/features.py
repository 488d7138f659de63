"""What random packets do not compare: meters, counters, digests, value sets, random numbers, on both switches.

Tables of every match kind with priorities, action profiles and selectors, clones, resubmit, recirculate, truncate and
multicast are in `subjects`; idle timeouts in p4-guide's own test (see conformance/ptf_tests.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finsy.proto import p4r

from conformance.bmv2.device import Device, encode
from conformance.bmv2.pairs import build_ours
from conformance.bmv2.process import Bmv2, ReferenceError
from p4switch.errors import PipelineError
from p4switch.pipeline.entities import Exact, MeterRates
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline

STF = Path(__file__).parent.parent.parent / "tests" / "stf"
RANDOM = """
#include "blocks.p4"
INGRESS {
  apply {
    sm.egress_spec = 2;
    random(hdr.d.r, 8w3, 8w6);
  }
}
MAIN;
"""
DIRECT = """
#include "blocks.p4"
INGRESS {
  direct_meter<bit<8>>(MeterType.packets) limit;
  direct_counter(CounterType.packets_and_bytes) hits;
  action measure() { limit.read(meta.m); }
  action count() { }
  table t {
    key = { hdr.d.a : exact; }
    actions = { measure; NoAction; }
    meters = limit;
    size = 16;
  }
  table c {
    key = { hdr.d.b : exact; }
    actions = { count; NoAction; }
    counters = hits;
    size = 16;
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
    c.apply();
    hdr.d.r = meta.m;
  }
}
MAIN;
"""
Switch = Device | Pipeline


@dataclass(frozen=True)
class Feature:
    """`show` gives what can be seen of it, the same on both. `text`: a program that tests/stf does not have."""

    name: str
    program: str
    show: Callable[[Switch], object]
    text: str = ""


class Clock:
    now = 1_000_000


def send(switch: Switch, a: int, b: int = 0, size: int = 8) -> int:
    """One packet of tests/stf/types.p4's header; its field r as it comes out."""
    frame = bytes((0, a, b, 0)).ljust(size, b"\0")
    Clock.now += 100
    ((_, out),) = switch.step(1, frame, Clock.now, Clock.now * 0x9E3779B97F4A7C15).packets
    return out[3]


def meters(switch: Switch) -> object:
    """Rates so low that only the bursts count within a test: green, yellow, red."""
    switch.set_meter("ingress.limit", 1, MeterRates(1, 3, 1, 6))
    limited = [send(switch, 1) for _ in range(10)]
    switch.set_meter("ingress.limit", 1, None)
    return limited, [send(switch, 1) for _ in range(4)], [send(switch, 0) for _ in range(4)]


def direct_meters(switch: Switch) -> object:
    handle = switch.insert("ingress.t", [Exact(5)], "ingress.measure")
    free = [send(switch, 5) for _ in range(3)]
    switch.set_entry_meter("ingress.t", handle, MeterRates(1, 2, 1, 4))
    return free, [send(switch, 5) for _ in range(8)], [send(switch, 6) for _ in range(2)]


def direct_counters(switch: Switch) -> object:
    handles = [switch.insert("ingress.c", [Exact(key)], "ingress.count") for key in (1, 2)]
    for key, size in ((1, 8), (1, 100), (2, 60), (3, 9)):
        send(switch, 0, key, size)
    return [switch.entry_counter("ingress.c", handle) for handle in handles]


def counters(switch: Switch) -> object:
    name = next(iter(switch.program.counters))
    switch.set_counter(name, 1, 7, 70)
    for a, size in ((1, 8), (1, 20), (0, 30)):
        send(switch, a, 0, size)
    return [switch.counter(name, index) for index in (0, 1)]


def digests(switch: Switch) -> object:
    frames = [(1, 2), (3, 4), (255, 0)]
    if isinstance(switch, Pipeline):
        found = []
        for a, b in frames:
            output = switch.step(1, bytes((0, a, b, 0, 0, 0, 0, 0)), 1000)
            found += [values for _, values in output.digests]
        return sorted(found)
    entry = p4r.DigestEntry(digest_id=next(iter(switch.info.digests)).preamble.id)
    entry.config.max_list_size = 1
    switch.write(p4r.Update.INSERT, digest_entry=entry)
    for a, b in frames:
        send(switch, a, b)
    found = []
    while len(found) < len(frames):
        message = next(switch.stream)
        for data in message.digest.data:
            found.append(tuple(int.from_bytes(m.bitstring, "big") for m in data.struct.members))
    return sorted(found)


def value_sets(switch: Switch) -> object:
    before = [send(switch, a) for a in (5, 6)]
    if isinstance(switch, Pipeline):
        switch.set_value_set(next(iter(switch.program.value_sets)), [[5]])
    else:
        entry = p4r.ValueSetEntry(value_set_id=next(iter(switch.info.value_sets)).preamble.id)
        entry.members.add().match.add(field_id=1).exact.value = encode(5)
        switch.write(p4r.Update.MODIFY, value_set_entry=entry)
    return before, [send(switch, a) for a in (5, 6)]


def random_numbers(switch: Switch) -> object:
    return sorted({send(switch, 0) for _ in range(300)})


FEATURES = (
    Feature("meters", "meters", meters),
    Feature("direct meters", "direct", direct_meters, DIRECT),
    Feature("direct counters", "direct", direct_counters, DIRECT),
    Feature("counters", "counters", counters),
    Feature("digests", "digests", digests),
    Feature("value sets", "empty_value_set", value_sets),
    Feature("random numbers", "random", random_numbers, RANDOM),
)


def compare(folder: Path, tools: Path | None) -> Iterator[tuple[str, str, str]]:
    """(feature, fault or '', what both show)."""
    folder.mkdir(parents=True, exist_ok=True)
    for feature in FEATURES:
        program = STF / f"{feature.program}.p4"
        if feature.text:
            program = folder / f"{feature.program}.p4"
            program.write_text(feature.text)
        built = build_ours(program, folder, [STF])
        with Pipeline.load(built.json, cache=folder / "cache", flags=QUICK) as pipeline:
            here = feature.show(pipeline)
        switch = Bmv2(tools)
        try:
            with Device(switch, built.json, built.info) as device:
                there = feature.show(device)
        except PipelineError as error:
            yield feature.name, "", f"BMv2 does not take it over P4Runtime ({error}); here {here}"
            continue
        except ReferenceError as error:
            yield feature.name, "", f"BMv2 ends ({error}); here {here}"
            continue
        finally:
            switch.close()
        yield feature.name, "" if here == there else f"BMv2 {there}, p4switch {here}", str(there)
