"""Tables: every match kind, who wins, defaults, const entries, counters, edits and their errors; action profiles."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import (
    BadValue,
    EntryExists,
    Exact,
    Group,
    Immutable,
    Lpm,
    Match,
    Member,
    NoSuchEntry,
    Pipeline,
    Range,
    TableFull,
    Ternary,
    UnknownName,
)
from tests.p4switch.bmv2json import Json, Programs, assign, drop, fld, param, send_to

KEY = (("a", 32), ("b", 16), ("w", 128))
"""Fields of the header that comes in."""


def program(key: list[tuple[str, str]], entries: list[Json] | None = None, **more: object) -> Programs:
    """One table over fields of `h`; `to(port)` sends, a miss drops."""
    p = Programs(parse=["h"])
    p.header("h", dict(KEY))
    p.action("to", send_to(param(0)), params={"port": 9})
    p.action("miss", drop())
    columns = [(kind, "h", name) for kind, name in key]
    p.table("t", columns, ["to", "miss"], default="miss", entries=entries or (), **more)
    return p


def port(pipeline: Pipeline, a: int = 0, b: int = 0, w: int = 0) -> int | None:
    """Where a packet goes."""
    frame = a.to_bytes(4, "big") + b.to_bytes(2, "big") + w.to_bytes(16, "big")
    packets = pipeline.step(0, frame, 5).packets
    return packets[0][0] if packets else None


def load(p: Programs, cache: Path) -> Pipeline:
    return Pipeline.load(p.json(), cache=cache, flags=QUICK)


def test_exact_with_wide_keys(build_cache: Path) -> None:
    with load(program([("exact", "w"), ("exact", "b")]), build_cache) as pipeline:
        wide = 0xFE80 << 112 | 1
        handle = pipeline.insert("t", [Exact(wide), Exact(7)], "to", [3])
        assert port(pipeline, w=wide, b=7) == 3
        assert port(pipeline, w=1, b=7) is None
        pipeline.modify("t", handle, "to", [4])
        assert port(pipeline, w=wide, b=7) == 4
        pipeline.delete("t", handle)
        assert port(pipeline, w=wide, b=7) is None


def test_longest_prefix_wins_and_exact_fields_must_fit(build_cache: Path) -> None:
    with load(program([("exact", "b"), ("lpm", "a")]), build_cache) as pipeline:
        for number, (value, length) in enumerate([(0x0A000000, 8), (0x0A010000, 16), (0x0A010200, 24), (0, 0)], 1):
            pipeline.insert("t", [Exact(1), Lpm(value, length)], "to", [number])
        pipeline.insert("t", [Exact(2), Lpm(0x0A010203, 32)], "to", [9])
        got = [port(pipeline, a=a, b=1) for a in (0x0A990000, 0x0A01FF00, 0x0A010203, 0x0B000000)]
        assert got == [1, 2, 3, 4]
        assert port(pipeline, a=0x0A010203, b=2) == 9
        assert port(pipeline, a=0x0A010204, b=2) is None


def test_ternary_priority_is_the_larger_and_the_older_of_equals(build_cache: Path) -> None:
    with load(program([("ternary", "a"), ("ternary", "b")]), build_cache) as pipeline:
        low = pipeline.insert("t", [Ternary(0, 0), Ternary(0, 0)], "to", [1], priority=1)
        pipeline.insert("t", [Ternary(0x0A000000, 0xFF000000), Ternary(0, 0)], "to", [2], priority=10)
        high = pipeline.insert("t", [Ternary(0x0A000000, 0xFF000000), Ternary(5, 0xFFFF)], "to", [3], priority=20)
        pipeline.insert("t", [Ternary(0, 0), Ternary(5, 0xFFFF)], "to", [4], priority=20)
        assert port(pipeline, a=0x0A000001, b=5) == 3
        assert port(pipeline, a=0x0B000001, b=5) == 4
        assert port(pipeline, a=0x0A000001, b=6) == 2
        assert port(pipeline, a=0x0B000001, b=6) == 1
        pipeline.delete("t", high)
        assert port(pipeline, a=0x0A000001, b=5) == 4
        pipeline.delete("t", low)
        assert port(pipeline, a=0x0B000001, b=6) is None


def test_one_match_at_several_priorities(build_cache: Path) -> None:
    with load(program([("ternary", "a")]), build_cache) as pipeline:
        handles = {p: pipeline.insert("t", [Ternary(1, 0xFF)], "to", [p], priority=p) for p in (5, 9, 7)}
        with pytest.raises(EntryExists):
            pipeline.insert("t", [Ternary(0x101, 0xFF)], "to", [1], priority=7)
        seen = []
        for priority in (9, 7, 5):
            seen.append(port(pipeline, a=1))
            pipeline.delete("t", handles[priority])
        assert seen == [9, 7, 5]
        assert port(pipeline, a=1) is None


def test_range_and_optional(build_cache: Path) -> None:
    with load(program([("range", "b"), ("optional", "a"), ("lpm", "w")]), build_cache) as pipeline:
        anything = Ternary(0, 0)
        pipeline.insert("t", [Range(10, 20), anything, Lpm(0, 0)], "to", [1], priority=1)
        pipeline.insert("t", [Range(20, 65535), Ternary(7, 0xFFFFFFFF), Lpm(0, 0)], "to", [2], priority=5)
        pipeline.insert("t", [Range(0, 0), anything, Lpm(1 << 127, 1)], "to", [3], priority=2)
        assert [port(pipeline, b=b) for b in (9, 10, 20, 21)] == [None, 1, 1, None]
        assert port(pipeline, b=20, a=7) == 2
        assert port(pipeline, w=1 << 127) == 3
        assert port(pipeline, w=1 << 126) is None


def test_against_a_search_by_hand(build_cache: Path) -> None:
    """Many overlapping ternary and LPM entries come and go; the winner is the one that a plain search finds."""
    r = random.Random(1)
    with load(program([("ternary", "a"), ("ternary", "b")]), build_cache) as pipeline:
        entries: dict[int, tuple[Ternary, Ternary, int, int]] = {}
        for round_ in range(1500):
            if entries and r.random() < 0.4:
                handle = r.choice(list(entries))
                pipeline.delete("t", handle)
                del entries[handle]
            elif len(entries) < 300:
                masks = r.choice([0, 0xFF, 0xF0, 0xFFFFFFFF]), r.choice([0, 3, 0xFFFF])
                match = Ternary(r.getrandbits(4) & masks[0], masks[0]), Ternary(r.getrandbits(2) & masks[1], masks[1])
                priority, out = r.randrange(1, 1000), r.randrange(1, 500)
                try:
                    handle = pipeline.insert("t", match, "to", [out], priority=priority)
                except EntryExists:
                    continue
                entries[handle] = (*match, priority, out)
            if round_ % 3 == 0:
                a, b = r.getrandbits(4), r.getrandbits(2)
                fits = [
                    (-p, handle, out)
                    for handle, (x, y, p, out) in entries.items()
                    if a & x.mask == x.value and b & y.mask == y.value
                ]
                assert port(pipeline, a=a, b=b) == (min(fits)[2] if fits else None)


def test_many_entries(build_cache: Path) -> None:
    p = program([("lpm", "a")], max_size=20000)
    with load(p, build_cache) as pipeline:
        for i in range(10000):
            pipeline.insert("t", [Lpm(i << 12, 20 + i % 13)], "to", [i % 500])
        for i in random.Random(2).sample(range(10000), 200):
            assert port(pipeline, a=i << 12) == i % 500
        for entry in pipeline.entries("t")[::2]:
            pipeline.delete("t", entry.handle)
        assert port(pipeline, a=4 << 12) is None
        assert port(pipeline, a=5 << 12) == 5


def test_const_entries(build_cache: Path) -> None:
    def entry(value: int, mask: int, priority: int, to: int) -> Json:
        key = [{"match_type": "ternary", "key": hex(value), "mask": hex(mask)}]
        return {"match_key": key, "action": "to", "data": [hex(to)], "priority": priority}

    p = program([("ternary", "a")], [entry(1, 0xFF, 1, 11), entry(0, 0, 2, 12), entry(2, 0xFF, 3, 13)])
    with load(p, build_cache) as pipeline:
        assert [port(pipeline, a=a) for a in (1, 2)] == [11, 12]
        assert [(e.priority, e.params, e.const) for e in pipeline.entries("t")] == [
            (3, (11,), True),
            (2, (12,), True),
            (1, (13,), True),
        ]
        for edit in (
            lambda: pipeline.insert("t", [Ternary(9, 0xFF)], "to", [1], priority=4),
            lambda: pipeline.delete("t", 1),
            lambda: pipeline.modify("t", 1, "to", [1]),
        ):
            with pytest.raises(Immutable):
                edit()


def test_valid_as_a_key(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.action("to", send_to(param(0)), params={"port": 9})
    p.table("t", [("valid", "h", ""), ("exact", "h", "$valid$")], ["to"])
    with load(p, build_cache) as pipeline:
        pipeline.insert("t", [Exact(1), Exact(1)], "to", [2])
        pipeline.insert("t", [Exact(0), Exact(0)], "to", [3])
        assert [o[0] for f in (b"x", b"") for o in pipeline.step(0, f, 0).packets] == [2, 3]


def test_default_action(build_cache: Path) -> None:
    with load(program([("exact", "a")]), build_cache) as pipeline:
        assert pipeline.default("t") == ("miss", ())
        pipeline.set_default("t", "to", [5])
        assert port(pipeline, a=1) == 5
        pipeline.set_default("t", None)
        assert port(pipeline, a=1) is None
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.action("to", send_to(param(0)), params={"port": 9})
    p.table("t", [("exact", "h", "a")], ["to"], default="to", data=[4], const=True)
    with load(p, build_cache) as pipeline:
        assert pipeline.step(0, b"x", 0).packets[0][0] == 4
        pipeline.set_default("t", "to", [4])
        with pytest.raises(Immutable):
            pipeline.set_default("t", "to", [5])


def test_direct_counters_and_last_hit(build_cache: Path) -> None:
    with load(program([("exact", "a")], with_counters=True, support_timeout=True), build_cache) as pipeline:
        handle = pipeline.insert("t", [Exact(1)], "to", [2])
        for _ in range(3):
            port(pipeline, a=1)
        port(pipeline, a=2)
        assert pipeline.entry_counter("t", handle) == (3, 66)
        assert pipeline.entry_counter("t", None) == (1, 22)
        assert pipeline.entry_last_hit("t", handle) == 5
        pipeline.modify("t", handle, "to", [3])
        assert pipeline.entry_counter("t", handle) == (3, 66)
        pipeline.set_entry_counter("t", handle, 0, 1)
        pipeline.touch("t", handle, 99)
        assert pipeline.entry_counter("t", handle) == (0, 1)
        assert pipeline.entry_last_hit("t", handle) == 99


@pytest.mark.parametrize(
    ("match", "action", "params", "priority", "error"),
    [
        ([Exact(1 << 32)], "to", [1], 0, BadValue),
        ([Exact(1), Exact(2)], "to", [1], 0, BadValue),
        ([Lpm(1, 32)], "to", [1], 0, BadValue),
        ([Exact(1)], "to", [512], 0, BadValue),
        ([Exact(1)], "to", [], 0, BadValue),
        ([Exact(1)], "to", [1], 3, BadValue),
        ([Exact(1)], "nothing", [], 0, UnknownName),
        ([Exact(1)], Member(1), [], 0, BadValue),
        ([Exact(5)], "to", [1], 0, EntryExists),
        ([Exact(6)], "to", [1], 0, TableFull),
    ],
)
def test_refused_entries(
    match: list[Match], action: str, params: list[int], priority: int, error: type[Exception], build_cache: Path
) -> None:
    size = 2 if error is TableFull else 3
    with load(program([("exact", "a")], max_size=size), build_cache) as pipeline:
        pipeline.insert("t", [Exact(4)], "to", [1])
        pipeline.insert("t", [Exact(5)], "to", [1])
        with pytest.raises(error):
            pipeline.insert("t", match, action, params, priority)
        assert len(pipeline.entries("t")) == 2


def test_unknown_names_and_handles(build_cache: Path) -> None:
    with load(program([("exact", "a")]), build_cache) as pipeline:
        with pytest.raises(UnknownName):
            pipeline.insert("nothing", [Exact(4)], "to", [1])
        handle = pipeline.insert("t", [Exact(4)], "to", [1])
        pipeline.delete("t", handle)
        with pytest.raises(NoSuchEntry):
            pipeline.delete("t", handle)
        assert pipeline.insert("t", [Exact(4)], "to", [1]) != handle
        assert pipeline.find("t", [Exact(4)]) == handle + 1
        assert pipeline.find("t", [Exact(5)]) is None


def test_hit_and_miss_lead_elsewhere(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8, "b": 8})
    p.action("nothing")
    p.action("write", assign(("h", "b"), param(0)), params={"v": 8})
    p.table(
        "t", [("exact", "h", "a")], ["nothing"], default="nothing", next_tables={"__HIT__": "hit", "__MISS__": "end"}
    )
    p.table("hit", [], ["write"], default="write", data=[0x11], const=True)
    p.run(send_to(1))
    p.ingress[-1]["name"] = "end"
    with load(p, build_cache) as pipeline:
        pipeline.insert("t", [Exact(1)], "nothing")
        assert [pipeline.step(0, f, 0).packets for f in (b"\1\0", b"\2\0")] == [((1, b"\1\x11"),), ((1, b"\2\0"),)]


def selector_program() -> Programs:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8, "b": 16})
    p.action("to", send_to(param(0)), params={"port": 9})
    p.action("miss", drop())
    p.profiles.append(
        {
            "name": "ap",
            "id": 0,
            "max_size": 4,
            "selector": {"algo": "identity", "input": [fld("h", "b")]},
        }
    )
    p.table("t", [("exact", "h", "a")], ["to", "miss"], type="indirect_ws", action_profile="ap")
    return p


def test_members_and_groups(build_cache: Path) -> None:
    with load(selector_program(), build_cache) as pipeline:

        def sent(a: int, b: int) -> int:
            return pipeline.step(0, bytes([a]) + b.to_bytes(2, "big"), 0).packets[0][0]

        members = [pipeline.add_member("ap", "to", [n]) for n in (10, 11, 12)]
        group = pipeline.add_group("ap", members)
        pipeline.insert("t", [Exact(1)], Member(members[1]))
        pipeline.insert("t", [Exact(2)], Group(group))
        assert sent(1, 0) == 11
        assert [sent(2, n) for n in range(4)] == [10, 11, 12, 10]
        pipeline.modify_member("ap", members[1], "to", [20])
        assert [sent(1, 0), sent(2, 1)] == [20, 20]
        pipeline.set_group("ap", group, [members[0], members[2], members[2]])
        assert [sent(2, n) for n in range(3)] == [10, 12, 12]
        for wrong in (
            lambda: pipeline.delete_member("ap", members[1]),
            lambda: pipeline.delete_group("ap", group),
            lambda: pipeline.insert("t", [Exact(3)], "to", [1]),
        ):
            with pytest.raises(BadValue):
                wrong()
        with pytest.raises(NoSuchEntry):
            pipeline.insert("t", [Exact(3)], Member(99))
        pipeline.add_member("ap", "to", [1])
        with pytest.raises(TableFull):
            pipeline.add_member("ap", "to", [1])
        for entry in pipeline.entries("t"):
            pipeline.delete("t", entry.handle)
        pipeline.delete_group("ap", group)
        pipeline.delete_member("ap", members[1])
        assert sent(1, 0) == 0
