"""Parsing: select, value sets, lookahead, stacks, unions, varbit, advance, verify, and what an error leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import BadValue, Pipeline
from tests.p4switch.bmv2json import ERRORS, Json, Programs, assign, call, fld, header, hexstr, op, send_to

EXTRACT = Programs.extract


def error(name: str) -> int:
    return ERRORS.index(name)


def report(program: Programs) -> None:
    """Send the packet to port 1, with a first byte that tells the parser error."""
    program.header("r", {"error": 8})
    program.run(
        call("add_header", header("r")), assign(("r", "error"), fld("standard_metadata", "parser_error")), send_to(1)
    )
    program.emit = ["r", *[n for n, _, m in program.headers if not m and n != "r"]]


def out(pipeline: Pipeline, text: str) -> str:
    ((port, frame),) = pipeline.step(0, bytes.fromhex(text), 0).packets
    assert port == 1
    return frame.hex()


def load(program: Programs, cache: Path) -> Pipeline:
    return Pipeline.load(program.json(), cache=cache, flags=QUICK)


def test_select_takes_the_first_case_that_fits(build_cache: Path) -> None:
    program = Programs()
    program.header("h", {"a": 4, "b": 12})
    program.meta(way=8)

    def way(number: int) -> list[Json]:
        return [{"op": "set", "parameters": [fld("meta", "way"), hexstr(number)]}]

    key = [fld("h", "a"), fld("h", "b")]
    cases = [(0x010002, "one"), (0x010000, 0x0F0000, "two"), (0x000100, 0x000F00, "three")]
    program.state("start", [EXTRACT("h")], key, cases, default="other")
    for number, name in enumerate(("one", "two", "three", "other"), 1):
        program.state(name, way(number))
    program.header("r", {"way": 8})
    program.emit = ["r"]
    program.run(call("add_header", header("r")), assign(("r", "way"), fld("meta", "way")), send_to(1))
    with load(program, build_cache) as pipeline:
        assert [out(pipeline, x) for x in ("1002", "1003", "2100", "2000")] == ["01", "02", "03", "04"]


def test_value_set_is_empty_until_it_is_filled(build_cache: Path) -> None:
    program = Programs()
    program.header("h", {"kind": 16})
    program.header("x", {"v": 8})
    program.value_sets.append({"name": "kinds", "id": 0, "compressed_bitwidth": 16, "max_size": 2})
    program.state("start", [EXTRACT("h")], [fld("h", "kind")], [("kinds", "more")])
    program.state("more", [EXTRACT("x")])
    program.header("r", {"valid": 8})
    program.run(call("add_header", header("r")), assign(("r", "valid"), fld("x", "$valid$")), send_to(1))
    program.emit = ["r"]
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "123456") == "0056"
        pipeline.set_value_set("kinds", [[0x1234], [0x9999]])
        assert pipeline.value_set("kinds") == ((0x1234,), (0x9999,))
        assert out(pipeline, "123456") == "01"
        assert out(pipeline, "123556") == "0056"
        with pytest.raises(BadValue):
            pipeline.set_value_set("kinds", [[0x12345]])


def test_lookahead_does_not_consume_and_does_not_reach_beyond_the_packet(build_cache: Path) -> None:
    program = Programs()
    program.meta(peeked=16)
    program.header("h", {"a": 16})
    peek = {"op": "set", "parameters": [fld("meta", "peeked"), {"type": "lookahead", "value": [8, 16]}]}
    program.state("start", [peek, EXTRACT("h")])
    report(program)
    program.run(assign(("h", "a"), fld("meta", "peeked")))
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "aabbccdd") == "00" + "bbcc" + "ccdd"
        assert out(pipeline, "aabb") == f"{error('PacketTooShort'):02x}" + "aabb"


def test_a_short_packet_still_runs_ingress(build_cache: Path) -> None:
    program = Programs()
    program.header("h", {"a": 16})
    program.header("g", {"b": 32})
    program.state("start", [EXTRACT("h"), EXTRACT("g")])
    report(program)
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "aabb01020304") == "00aabb01020304"
        assert out(pipeline, "aabb0102") == "01aabb0102"
        assert out(pipeline, "") == "01"


def test_stack_fills_up_and_overflows(build_cache: Path) -> None:
    program = Programs()
    program.type("label_t", {"value": 7, "last": 1})
    program.stack("labels", "label_t", 3)
    last = {"type": "stack_field", "value": ["labels", "last"]}
    program.state("start", [EXTRACT("labels", "stack")], [last], [(0, "start")])
    report(program)
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "020405ff") == "00020405ff"
        assert out(pipeline, "02040608") == f"{error('StackOutOfBounds'):02x}02040608"


def test_push_and_pop_shift_the_whole_stack(build_cache: Path) -> None:
    program = Programs()
    program.type("label_t", {"value": 8})
    program.stack("labels", "label_t", 3)
    program.header("what", {"n": 8})
    program.state("start", [EXTRACT("what"), EXTRACT("labels", "stack"), EXTRACT("labels", "stack")])
    stack = {"type": "header_stack", "value": "labels"}
    program.action(
        "push",
        call("push", stack, hexstr(1)),
        call("add_header", header("labels[0]")),
        assign(("labels[0]", "value"), 0xEE),
    )
    program.action("pop", call("pop", stack, hexstr(1)))
    program.action("pop9", call("pop", stack, hexstr(9)))
    entries = [
        {"match_key": [{"match_type": "exact", "key": hex(n)}], "action": a}
        for n, a in enumerate(("push", "pop", "pop9"))
    ]
    program.table("t", [("exact", "what", "n")], ["push", "pop", "pop9"], entries=entries)
    program.run(send_to(1))
    program.emit = [f"labels[{i}]" for i in range(3)]
    with load(program, build_cache) as pipeline:
        assert [out(pipeline, f"0{n}0102") for n in range(4)] == ["ee0102", "02", "", "0102"]


def test_index_out_of_range_reads_zero_and_writes_nothing(build_cache: Path) -> None:
    program = Programs()
    program.type("label_t", {"value": 8})
    program.stack("labels", "label_t", 2)
    program.header("h", {"i": 8, "out": 8})
    program.state("start", [EXTRACT("h"), EXTRACT("labels", "stack"), EXTRACT("labels", "stack")])
    stack = {"type": "header_stack", "value": "labels"}
    element = op("access_field", op("dereference_header_stack", stack, fld("h", "i")), 0)
    element["value"]["right"] = 0
    program.run(assign(("h", "out"), element), assign(element, 0x77), send_to(1))
    program.emit = ["h", "labels[0]", "labels[1]"]
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "00001122") == "00117722"
        assert out(pipeline, "01001122") == "01221177"
        assert out(pipeline, "02001122") == "02001122"
        assert out(pipeline, "ff001122") == "ff001122"


def test_union_holds_one_header(build_cache: Path) -> None:
    program = Programs()
    program.type("one_t", {"a": 8})
    program.type("two_t", {"a": 16})
    program.header("k", {"which": 8})
    program.union("u", "u_t", {"one": "one_t", "two": "two_t"})
    program.state("start", [EXTRACT("k")], [fld("k", "which")], [(1, "one"), (2, "two")])
    program.state("one", [EXTRACT("u.one")])
    program.state("two", [EXTRACT("u.two")])
    program.action("other", call("add_header", header("u.two")), assign(("u.two", "a"), 0xBEEF))
    program.action("keep")
    entry = {"match_key": [{"match_type": "exact", "key": "0x1"}], "action": "other"}
    program.table("t", [("exact", "k", "which")], ["other", "keep"], default="keep", entries=[entry])
    program.run(send_to(1))
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "0199") == "01beef"
        assert out(pipeline, "021234") == "021234"


def test_union_stack(build_cache: Path) -> None:
    program = Programs()
    program.type("one_t", {"tag": 8})
    program.type("two_t", {"tag": 8, "more": 8})
    program.union_stack("us", "u_t", {"one": "one_t", "two": "two_t"}, 2)
    look = [{"type": "lookahead", "value": [0, 8]}]
    program.state("start", [], look, [(1, "one"), (2, "two")])
    program.state("one", [EXTRACT(["us", "one"], "union_stack")], look, [(1, "one"), (2, "two")])  # type: ignore[arg-type]
    program.state("two", [EXTRACT(["us", "two"], "union_stack")], look, [(1, "one"), (2, "two")])  # type: ignore[arg-type]
    report(program)
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "0102aaff") == "000102aaff"
        assert out(pipeline, "010101ff") == f"{error('StackOutOfBounds'):02x}010101ff"


@pytest.mark.parametrize(
    ("frame", "result"),
    [
        ("0211aabb22", "00" + "0211aabb22"),
        ("001122", "00" + "001122"),
        ("0511aabbccddee22", "04" + "0511aabbccddee22"),  # HeaderTooShort: 40 bits do not fit varbit<32>
        ("0411aabb22", "01" + "0411aabb22"),  # PacketTooShort
        ("8111aabb22", "06" + "8111aabb22"),  # ParserInvalidArgument: not a multiple of 8
    ],
)
def test_varbit(frame: str, result: str, build_cache: Path) -> None:
    program = Programs()
    program.header("len", {"n": 8})
    program.header("v", {"before": 8, "data": "*", "after": 8}, max_length=6)
    by_eight = op("<<", op("&", fld("len", "n"), 0x7F), 3)
    length = op("+", by_eight, op(">>", fld("len", "n"), 7))
    extract = {"op": "extract_VL", "parameters": [{"type": "regular", "value": "v"}, length]}
    program.state("start", [EXTRACT("len"), extract])
    report(program)
    program.emit = ["r", "len", "v"]
    with load(program, build_cache) as pipeline:
        assert out(pipeline, frame) == result


def test_assigning_varbits_and_whole_headers(build_cache: Path) -> None:
    program = Programs()
    program.type("v_t", {"n": 8, "data": "*"}, max_length=5)
    program.header("a", "v_t")
    program.header("b", "v_t")
    program.header("c", "v_t")
    extract = {"op": "extract_VL", "parameters": [{"type": "regular", "value": "a"}, hexstr(16)]}
    program.state("start", [extract])
    program.run(
        call("assign_header", header("b"), header("a")),
        assign(("b", "n"), 7),
        call("add_header", header("c")),
        call("assign_VL", fld("c", "data"), fld("b", "data")),
        send_to(1),
    )
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "01aabb") == "01aabb" + "07aabb" + "00aabb"


def test_advance_and_verify(build_cache: Path) -> None:
    program = Programs()
    program.header("h", {"skip": 8})
    program.header("x", {"v": 8})
    advance = {"op": "advance", "parameters": [op("<<", fld("h", "skip"), 3)]}
    verify = {"op": "verify", "parameters": [op("!=", fld("x", "v"), 0), hexstr(error("NoMatch"))]}
    program.state("start", [EXTRACT("h"), advance, EXTRACT("x"), verify])
    report(program)
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "02aaaa77ff") == "000277ff"
        assert out(pipeline, "02aaaa00ff") == f"{error('NoMatch'):02x}0200ff"
        assert out(pipeline, "09aaaa") == "0109aaaa"


def test_a_parser_that_never_ends_times_out(build_cache: Path) -> None:
    program = Programs()
    program.state("start", [], default="start")
    report(program)
    with load(program, build_cache) as pipeline:
        assert out(pipeline, "aa") == f"{error('ParserTimeout'):02x}aa"


def test_wide_fields_at_odd_places(build_cache: Path) -> None:
    program = Programs(parse=["h"])
    program.header("h", {"a": 3, "wide": 130, "b": 11, "c": 2000})
    program.run(
        assign(("h", "wide"), op("+", fld("h", "wide"), 1)),
        assign(("h", "c"), op("~", None, fld("h", "c"))),
        send_to(1),
    )
    value = (5 << (130 + 11 + 2000)) | ((1 << 130) - 1) << 2011 | 0x2AB << 2000 | 0x1234
    frame = value.to_bytes(268, "big")
    with load(program, build_cache) as pipeline:
        got = int(out(pipeline, frame.hex()), 16)
    assert got == (5 << 2141) | 0x2AB << 2000 | (0x1234 ^ ((1 << 2000) - 1))
