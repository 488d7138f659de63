"""Entries of tables: their priorities, and what the target cannot hold, found with the line."""

from __future__ import annotations

from typing import Any

import pytest

from p4compiler.check.priorities import entry_priorities, runtime_priorities
from p4compiler.compile import compile_text
from p4compiler.source import CompileFailed, Diagnostic, Diagnostics
from tests.p4compiler.short import with_ingress

TABLE = """action go(bit<8> v) {{ hdr.h.b = v; }}
table t {{ key = {{ {key} }} actions = {{ go; NoAction; }} {properties} {entries} }}"""
TERNARY = "hdr.h.a: ternary;"


def compiled(entries: str, key: str = TERNARY, properties: str = "") -> tuple[Any, list[Diagnostic]]:
    """The table's JSON (None after errors) and what was said."""
    text = with_ingress("t.apply();", TABLE.format(key=key, properties=properties, entries=entries))
    diagnostics = Diagnostics()
    try:
        json = compile_text(text, diagnostics, "t.p4").json
    except CompileFailed:
        return None, list(diagnostics)
    tables = [t for p in json["pipelines"] for t in p["tables"] if t["name"] == "ingress_c.t"]
    return tables[0], list(diagnostics)


@pytest.mark.parametrize(
    ("given", "largest_wins", "delta", "expected"),
    [
        ([None, None, None], True, 1, [3, 2, 1]),
        ([None, None, None], True, 10, [21, 11, 1]),
        ([None, None, None], False, 10, [1, 11, 21]),
        ([1000, None, None, None, 901, None], True, 100, [1000, 900, 800, 700, 901, 801]),
        ([10, None, None, None, 40, None], False, 10, [10, 20, 30, 40, 40, 50]),
        ([12, None, None], True, 10, [12, 2, -8]),
        ([], True, 1, []),
    ],
)
def test_numbers(given: list[int | None], largest_wins: bool, delta: int, expected: list[int]) -> None:
    assert entry_priorities(given, largest_wins, delta) == expected


def test_p4runtime_counts_upwards_and_keeps_the_gaps() -> None:
    assert runtime_priorities([100, 110, 5], largest_wins=False) == [11, 1, 106]
    assert runtime_priorities([100, 110, 5], largest_wins=True) == [100, 110, 5]
    assert runtime_priorities([0], largest_wins=False) == [1]


def test_bmv2_gets_positions_in_the_order_of_the_priorities_and_p4runtime_the_numbers() -> None:
    """BMv2 lets the smallest number win, whatever the program's convention is."""
    entries = "entries = { priority = 7: 1: go(1); const 2: go(2); priority = 9: _: go(3); const 3: go(4); }"
    table, _ = compiled(entries)
    assert [(e["action_entry"]["action_data"], e["priority"]) for e in table["entries"]] == [
        (["0x3"], 1),
        (["0x4"], 2),
        (["0x1"], 3),
        (["0x2"], 4),
    ]
    assert [e["p4runtime"] for e in table["entries"]] == [
        {"priority": 9, "is_const": False},
        {"priority": 8, "is_const": True},
        {"priority": 7, "is_const": False},
        {"priority": 6, "is_const": True},
    ]


def test_of_equal_priorities_the_earlier_entry_wins() -> None:
    table, _ = compiled("entries = { priority = 4: 1: go(1); priority = 4: _: go(2); priority = 5: 3: go(3); }")
    assert [e["action_entry"]["action_data"] for e in table["entries"]] == [["0x3"], ["0x1"], ["0x2"]]


def test_const_entries_are_as_p4c_writes_them() -> None:
    table, said = compiled("const entries = { 1: go(1); _: go(2); }")
    assert [(e["priority"], "p4runtime" in e) for e in table["entries"]] == [(1, False), (2, False)]
    assert said == []


def test_annotated_ranks_are_bmv2s_own_numbers() -> None:
    table, _ = compiled("entries = { 1 &&& 1: go(1) @priority(3); 2: go(2); _: go(3) @priority(1); }")
    assert [e["priority"] for e in table["entries"]] == [3, 2, 1]
    assert [e["p4runtime"]["priority"] for e in table["entries"]] == [None, None, None]


DUPLICATE, DISORDER = "another entry has the same priority 5", "this entry (priority 9) wins over the one before it"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("", [DUPLICATE, DISORDER]),
        ('@noWarn("duplicate_priorities")', [DISORDER]),
        ('@noWarn("duplicate-priorities") @noWarn("entries-out-of-priority-order")', []),
    ],
)
def test_equal_priorities_and_a_different_order_are_warned_of(annotation: str, expected: list[str]) -> None:
    entries = f"{annotation} entries = {{ priority = 5: 1: go(1); priority = 5: 2: go(2); priority = 9: 3: go(3); }}"
    table, said = compiled(entries)
    assert table is not None
    assert [(one.severity, one.message.split(" (priority 5)")[0]) for one in said] == [
        ("warning", message) for message in expected
    ]
    assert all(one.location is not None for one in said)


def test_smallest_wins_warns_of_falling_numbers() -> None:
    entries = "entries = { priority = 5: 1: go(1); priority = 4: 2: go(2); }"
    _, said = compiled(entries, properties="largest_priority_wins = false;")
    assert [one.message for one in said] == ["this entry (priority 4) wins over the one before it (priority 5)"]
    assert compiled(entries)[1] == []


LPM, RANGE, SIGNED = "hdr.h.a: lpm;", "hdr.h.a: range;", "hdr.h.s: range;"


@pytest.mark.parametrize(
    ("key", "entries", "message"),
    [
        (
            RANGE,
            "const entries = { 3: go(1); 9 .. 3: go(2); }",
            "this range holds no number: it ends before it begins",
        ),
        (SIGNED, "const entries = { 3: go(1); 5 .. -5: go(2); }", "this range holds no number"),
        (LPM, "const entries = { 0x10 &&& 0xF0: go(1); 0x1F &&& 0xF0: go(2); }", "an entry with these keys is there"),
        (
            LPM,
            "const entries = { _: go(1); default: go(2); }",
            "an entry with these keys is there already, in line 19",
        ),
        (LPM, "entries = { 1: go(1); 1 &&& 0xFF: go(2); }", "an entry with these keys is there"),
        ("hdr.h.a: exact;", "const entries = { 1: go(1); default: go(2); }", "an exact key takes one value"),
        (
            TERNARY,
            "entries = { priority = 3: 0x12 &&& 0xF0: go(1); priority = 3: 0x10 &&& 0xF0: go(2); }",
            "an entry with these keys and priority is there",
        ),
        (
            TERNARY,
            "const entries = { _: go(1) @priority(3); 0 &&& 0: go(2) @priority(3); }",
            "an entry with these keys and priority is there",
        ),
    ],
)
def test_what_the_target_cannot_hold_is_refused_with_the_line(key: str, entries: str, message: str) -> None:
    """Each is about the second entry, in the line after the first's; without it all is well."""
    table, said = compiled(entries.replace("; ", ";\n", 1), key)
    assert table is None
    errors = [one for one in said if one.severity == "error"]
    assert len(errors) == 1 and message in errors[0].message, said
    location = errors[0].location
    assert location is not None and location.line == 20
    first = entries[: entries.index(";") + 1] + " }"
    assert compiled(first, key)[0] is not None


def test_a_range_over_zero_becomes_two_entries() -> None:
    """Targets compare unsigned numbers."""
    entries = "entries = { priority = 8: -5 .. 5: go(1); const -9 .. -7: go(2); 6 .. 127: go(3); }"
    table, said = compiled(entries, SIGNED)
    assert [(e["match_key"][0]["start"], e["match_key"][0]["end"]) for e in table["entries"]] == [
        ("0xfb", "0xff"),
        ("0x00", "0x05"),
        ("0xf7", "0xf9"),
        ("0x06", "0x7f"),
    ]
    assert [e["p4runtime"]["priority"] for e in table["entries"]] == [8, 8, 7, 6]
    assert table["max_size"] == 4 and said == []


@pytest.mark.parametrize(
    ("properties", "entries", "message"),
    [
        ("implementation = selector_;", "", "table 't' has an action selector, but no key that it chooses by"),
        ("implementation = profile;", "entries = { 1: go(1); }", "gets its entries at run time"),
        (
            "implementation = cells;",
            "",
            "'implementation' of a table is an object of type action_profile or action_sel",
        ),
        ("counters = profile;", "", "'counters' of a table is an object of type direct_counter"),
        ("meters = 3;", "", "'meters' of a table is an object of type direct_meter"),
        ("support_timeout = 1;", "", "support_timeout is true or false"),
    ],
)
def test_what_does_not_go_with_a_table(properties: str, entries: str, message: str) -> None:
    made = (
        "action_profile(8) profile; action_selector(HashAlgorithm.crc16, 8, 8) selector_; register<bit<8>>(4) cells; "
    )
    text = TABLE.format(key=TERNARY, properties=properties, entries=entries)
    diagnostics = Diagnostics()
    with pytest.raises(CompileFailed):
        compile_text(with_ingress("t.apply();", made + text), diagnostics, "t.p4")
    (only,) = diagnostics
    assert message in only.message and only.location is not None
