"""The shape of the BMv2 JSON of small programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from p4compiler.bmv2.parsers import expand_ranges, range_pieces
from p4compiler.compile import compile_file
from p4compiler.ir.nodes import KeyValue
from p4compiler.source import Diagnostics
from tests.p4compiler.short import HEAD, TAIL, compile_ok, with_ingress

Json = dict[str, Any]


def document(body: str, locals_: str = "", before: str = "") -> Json:
    return compile_ok(with_ingress(body, locals_, before)).json


def pipeline(json: Json, name: str = "ingress") -> Json:
    return next(p for p in json["pipelines"] if p["name"] == name)


def only_action(json: Json) -> list[Json]:
    (action,) = json["actions"]
    return list(action["primitives"])


def plain(primitive: Json) -> tuple[str, list[Any]]:
    return primitive["op"], primitive["parameters"]


def test_document_has_every_array_and_the_version() -> None:
    json = document("")
    for key in ("header_types", "headers", "parsers", "actions", "pipelines", "checksums", "field_aliases", "errors"):
        assert key in json
    assert json["__meta__"]["version"] == [2, 23]
    assert json["errors"][:2] == [["NoError", 0], ["PacketTooShort", 1]]
    assert ["intrinsic_metadata.mcast_grp", ["standard_metadata", "mcast_grp"]] in json["field_aliases"]
    assert pipeline(json)["init_table"] is None


def test_header_types_and_instances() -> None:
    json = document("")
    types = {t["name"]: t for t in json["header_types"]}
    assert types["h_t"]["fields"][3] == ["s", 8, True]
    assert [h["name"] for h in json["headers"] if h["header_type"] == "h_t"] == ["h", "g", "st[0]", "st[1]", "st[2]"]
    assert json["header_stacks"][0]["header_ids"] == [h["id"] for h in json["headers"] if h["name"].startswith("st[")]
    scalars = types["scalars_0"]["fields"]
    assert ["userMetadata.flag", 1, False] in scalars
    assert sum(f[1] for f in scalars) % 8 == 0
    assert sum(f[1] for f in types["standard_metadata"]["fields"]) % 8 == 0


@pytest.mark.parametrize("kind", ["function", "action"])
def test_an_inout_parameter_that_the_body_never_names_is_not_copied(kind: str) -> None:
    """BMv2 ends at a stack index past the end, so one that decides nothing must not be looked at."""
    function, action = "void f(inout bit<8> unnamed) { }", "action f(inout bit<8> unnamed) { }"
    where = {"before": function} if kind == "function" else {"locals_": action}
    json = document("f(hdr.st[hdr.h.a].b);", **where)
    assert json["actions"] == []
    assert pipeline(json)["init_table"] is None


def test_ids_are_unique_within_a_kind() -> None:
    locals_ = "action a(bit<8> v) { meta.x = v; } table t { key = { hdr.h.a: exact; } actions = { a; } }"
    json = document("if (meta.flag) { t.apply(); } meta.y = 1;", locals_)
    for kind in ("header_types", "headers", "actions"):
        ids = [x["id"] for x in json[kind]]
        assert len(ids) == len(set(ids))


def test_assignment_wraps_to_the_width() -> None:
    (primitive,) = only_action(document("hdr.h.a = hdr.h.a - 1;"))
    minus = {"op": "-", "left": {"type": "field", "value": ["h", "a"]}, "right": {"type": "hexstr", "value": "0x01"}}
    masked = {
        "op": "&",
        "left": {"type": "expression", "value": minus},
        "right": {"type": "hexstr", "value": "0xff"},
    }
    assert plain(primitive) == (
        "assign",
        [
            {"type": "field", "value": ["h", "a"]},
            {"type": "expression", "value": {"type": "expression", "value": masked}},
        ],
    )


def test_signed_arithmetic_is_two_complement() -> None:
    (primitive,) = only_action(document("hdr.h.s = hdr.h.s + 1;"))
    assert primitive["parameters"][1]["value"]["value"]["op"] == "two_comp_mod"


def test_constants_fold_and_dead_branches_go() -> None:
    json = document(
        "if (8w3 + 4 == 7) { hdr.h.a = (8w1 ++ 8w2)[11:4]; } else { t.apply(); }",
        "table t { actions = { NoAction; } }",
    )
    (primitive,) = only_action(json)
    assert primitive["parameters"][1] == {"type": "hexstr", "value": "0x10"}
    assert len(pipeline(json)["tables"]) == 1


def test_bool_fields_are_converted_both_ways() -> None:
    (primitive,) = only_action(document("meta.flag = meta.flag && hdr.h.isValid();"))
    value = primitive["parameters"][1]["value"]["value"]
    assert value["op"] == "b2d"
    both = value["right"]["value"]
    assert both["op"] == "and"
    assert both["left"]["value"] == {
        "op": "d2b",
        "left": None,
        "right": {"type": "field", "value": ["scalars", "userMetadata.flag"]},
    }
    assert both["right"]["value"]["right"] == {"type": "field", "value": ["h", "$valid$"]}


def test_condition_joins_behind_its_branches() -> None:
    locals_ = "table one { actions = { NoAction; } } table two { actions = { NoAction; } }"
    control = pipeline(document("if (hdr.h.a == 1) { one.apply(); } two.apply();", locals_))
    (node,) = control["conditionals"]
    assert control["init_table"] == node["name"]
    assert (node["true_next"], node["false_next"]) == ("ingress_c.one", "ingress_c.two")
    one = next(t for t in control["tables"] if t["name"] == "ingress_c.one")
    assert one["next_tables"] == {"NoAction": "ingress_c.two"}
    assert one["base_default_next"] == "ingress_c.two"


def test_hit_and_miss_are_successors_of_the_table() -> None:
    locals_ = "table t { key = { hdr.h.a: exact; } actions = { NoAction; } }"
    control = pipeline(document("if (!t.apply().hit) { meta.x = 1; }", locals_))
    table = next(t for t in control["tables"] if t["name"] == "ingress_c.t")
    assert table["next_tables"]["__HIT__"] is None
    assert table["next_tables"]["__MISS__"] is not None
    assert not control["conditionals"]


def test_action_run_labels() -> None:
    locals_ = """action a() { } action b() { } action c() { }
    table t { key = { hdr.h.a: exact; } actions = { a; b; c; } default_action = c(); }"""
    body = "switch (t.apply().action_run) { a: b: { meta.x = 1; } default: { meta.x = 2; } }"
    control = pipeline(document(body, locals_))
    table = next(t for t in control["tables"] if t["name"] == "ingress_c.t")
    following = table["next_tables"]
    assert following["ingress_c.a"] == following["ingress_c.b"] != following["ingress_c.c"]


def test_return_in_a_nested_control_goes_on_behind_it() -> None:
    before = """control inner(inout meta_t meta) {
      table t { actions = { NoAction; } }
      apply { if (meta.flag) { return; } t.apply(); } }"""
    control = pipeline(
        document("sub.apply(meta); last.apply();", "inner() sub; table last { actions = { NoAction; } }", before)
    )
    (node,) = control["conditionals"]
    assert node["true_next"] == "ingress_c.last"
    assert node["false_next"] == "ingress_c.sub.t"


def test_table_with_entries_and_default() -> None:
    locals_ = """action go(bit<9> p, bit<8> q) { sm.egress_spec = p; meta.x = q; }
    table t { key = { hdr.h.a: exact; hdr.h.c: ternary; meta.x: range; }
      actions = { go; NoAction; } const default_action = go(3, 4);
      const entries = { (1, 2 &&& 0xF, 3..5): go(6, 7); (8, _, 9): NoAction(); } size = 500; }"""
    json = document("t.apply();", locals_)
    table = pipeline(json)["tables"][0]
    assert table["match_type"] == "range" and table["max_size"] == 2
    assert [k["match_type"] for k in table["key"]] == ["exact", "ternary", "range"]
    assert [k["name"] for k in table["key"]] == ["hdr.h.a", "hdr.h.c", "meta.x"]
    go = next(a for a in json["actions"] if a["name"] == "ingress_c.go")
    assert go["runtime_data"] == [{"name": "p", "bitwidth": 9}, {"name": "q", "bitwidth": 8}]
    assert go["primitives"][0]["parameters"][1] == {"type": "runtime_data", "value": 0}
    assert table["default_entry"] == {
        "action_id": go["id"],
        "action_const": True,
        "action_data": ["0x3", "0x4"],
        "action_entry_const": True,
    }
    first, second = table["entries"]
    assert first["match_key"] == [
        {"match_type": "exact", "key": "0x01"},
        {"match_type": "ternary", "key": "0x0002", "mask": "0x000f"},
        {"match_type": "range", "start": "0x03", "end": "0x05"},
    ]
    assert second["match_key"][1] == {"match_type": "ternary", "key": "0x0000", "mask": "0x0000"}
    assert (first["priority"], second["priority"]) == (1, 2)


def test_computed_key_is_assigned_before_the_table() -> None:
    locals_ = 'table t { key = { hdr.h.a + 1: exact @name("next"); } actions = { NoAction; } }'
    json = document("t.apply();", locals_)
    control = pipeline(json)
    table = next(t for t in control["tables"] if t["name"] == "ingress_c.t")
    assert table["key"][0]["target"] == ["scalars", "key"] and table["key"][0]["name"] == "next"
    assert control["init_table"] != "ingress_c.t"


def test_externs() -> None:
    locals_ = """register<bit<48>>(16) r; counter(4, CounterType.bytes) c; meter(2, MeterType.bytes) m;
    action a() { r.write(1, 48w7); c.count((bit<32>) hdr.h.a);
      bit<2> color; m.execute_meter(0, color); meta.x = (bit<8>) color;
      random(hdr.h.c, 1, 9); mark_to_drop(sm); truncate(64); }
    table t { actions = { a; } default_action = a(); }"""
    json = document("t.apply();", locals_)
    action = next(x for x in json["actions"] if x["name"] == "ingress_c.a")
    ops = [p["op"] for p in action["primitives"]]
    assert ops == [
        "register_write",
        "assign",
        "count",
        "execute_meter",
        "assign",
        "modify_field_rng_uniform",
        "mark_to_drop",
        "truncate",
    ]
    assert json["register_arrays"][0]["bitwidth"] == 48 and json["register_arrays"][0]["size"] == 16
    assert json["counter_arrays"][0] == {
        **json["counter_arrays"][0],
        "name": "ingress_c.c",
        "is_direct": False,
        "size": 4,
    }
    assert json["meter_arrays"][0]["type"] == "bytes"


def test_digest_copies_its_fields() -> None:
    before = "struct d_t { bit<8> a; bit<16> c; }"
    json = document("digest<d_t>(1, { hdr.h.a, hdr.h.c + 1 });", "", before)
    (learn,) = json["learn_lists"]
    assert (learn["name"], learn["id"]) == ("d_t", 1)
    assert all(e["type"] == "field" and e["value"][0] == "scalars" for e in learn["elements"])
    assert only_action(json)[-1]["op"] == "generate_digest"


def test_direct_objects_belong_to_their_table() -> None:
    locals_ = """direct_counter(CounterType.packets) dc; direct_meter<bit<2>>(MeterType.packets) dm;
    action a() { bit<2> color; dm.read(color); meta.x = (bit<8>) color; }
    table t { key = { hdr.h.a: exact; } actions = { a; } counters = dc; meters = dm; size = 77; }"""
    json = document("t.apply();", locals_)
    table = pipeline(json)["tables"][0]
    assert table["with_counters"] and table["direct_meters"] == "ingress_c.dm"
    assert json["counter_arrays"][0]["binding"] == "ingress_c.t"
    (meter,) = json["meter_arrays"]
    assert meter["is_direct"] and meter["binding"] == "ingress_c.t" and meter["result_target"][0] == "scalars"


def test_checksum() -> None:
    text = with_ingress("").replace(
        "control compute_c(inout headers_t hdr, inout meta_t meta) { apply { } }",
        "control compute_c(inout headers_t hdr, inout meta_t meta) { apply {"
        " update_checksum(hdr.h.isValid(), { hdr.h.a, 8w5, hdr.g }, hdr.h.c, HashAlgorithm.csum16); } }",
    )
    json = compile_ok(text).json
    (checksum,), (calculation,) = json["checksums"], json["calculations"]
    assert checksum["target"] == ["h", "c"] and checksum["update"] and not checksum["verify"]
    assert calculation["algo"] == "csum16"
    assert calculation["input"][:3] == [
        {"type": "field", "value": ["h", "a"]},
        {"type": "hexstr", "value": "0x05", "bitwidth": 8},
        {"type": "field", "value": ["g", "a"]},
    ]


def test_parser_states_and_select() -> None:
    states = """state start { packet.extract(hdr.h);
        transition select(hdr.h.a, hdr.h.c[3:0]) {
          (1, 2): next; (_, 4..5): next; (0x10 &&& 0xF0, _): reject; default: accept; } }
      state next { packet.extract(hdr.st.next); meta.x = packet.lookahead<bit<8>>(); packet.advance(8);
        transition accept; }"""
    text = HEAD.replace("state start { packet.extract(hdr.h); transition accept; }", states)
    control = "control ingress_c(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply { } }"
    parser = compile_ok(text + control + TAIL).json["parsers"][0]
    start, following = parser["parse_states"]
    assert parser["init_state"] == "start"
    assert start["transition_key"][0] == {"type": "field", "value": ["h", "a"]}
    assert start["transition_key"][1]["value"][0] == "scalars"
    assert [(t["value"], t["mask"], t["next_state"]) for t in start["transitions"]] == [
        ("0x0102", None, "next"),
        ("0x0004", "0x000e", "next"),
        ("0x1000", "0xf000", None),
        (None, None, None),
    ]
    assert [op["op"] for op in following["parser_ops"]] == ["extract", "set", "set", "advance"]
    assert following["parser_ops"][0]["parameters"] == [{"type": "stack", "value": "st"}]
    assert following["parser_ops"][1]["parameters"][1] == {"type": "lookahead", "value": [0, 8]}


def test_ranges_become_the_fewest_masks() -> None:
    for low in range(16):
        for high in range(low, 16):
            pieces = range_pieces(low, high, 4)
            covered = [v for v in range(16) if any(v & m == p & m for p, m in pieces)]
            assert covered == list(range(low, high + 1))
    assert range_pieces(0, 15, 4) == [(0, 0)]
    assert len(range_pieces(1, 14, 4)) == 6
    assert len(expand_ranges((KeyValue("range", 1, 2), KeyValue("range", 1, 2), KeyValue("any")), [4, 4, 4])) == 4


def test_source_positions() -> None:
    (primitive,) = only_action(document("hdr.h.a = 1;"))
    info = primitive["source_info"]
    assert info["filename"] == "t.p4" and info["column"] == 0 and info["source_fragment"] == "hdr.h.a = 1"


def test_deparser_order() -> None:
    assert document("")["deparsers"][0]["order"] == ["h", "g", "st[0]", "st[1]", "st[2]"]


def test_a_widened_parameter_is_runtime_data_in_a_primitive() -> None:
    """Outside expressions BMv2 ends at 'local'."""
    json = document(
        "t.apply();",
        "action a(bit<8> n) { hash(meta.y, HashAlgorithm.crc16, 16w0, { hdr.h.a }, (bit<32>)n); }\n"
        "table t { actions = { a; } default_action = a(3); }",
    )
    (action,) = [one for one in json["actions"] if one["name"].endswith(".a")]
    sources = [p["parameters"][-1] for p in action["primitives"]]
    assert {"type": "runtime_data", "value": 0} in sources
    assert not any(one["type"] == "local" for one in sources)


def test_a_direct_meter_is_as_large_as_its_table() -> None:
    json = document(
        "t.apply();",
        "direct_meter<bit<8>>(MeterType.bytes) limit;\naction a() { limit.read(meta.x); }\n"
        "table t { key = { hdr.h.b : exact; } actions = { a; } meters = limit; const entries = { 1 : a(); } }",
    )
    (meter,) = json["meter_arrays"]
    (table,) = [one for one in pipeline(json)["tables"] if one["name"].endswith(".t")]
    assert meter["size"] == table["max_size"] == 1


def test_hidden_tables_are_named_after_their_own_file_and_line(tmp_path: Path) -> None:
    included = "control inner(inout headers_t hdr) {\n  apply { hdr.h.a = 1; }\n}\n"
    (tmp_path / "inner.p4").write_text(included)
    program = with_ingress("inner.apply(hdr);\nif (hdr.h.b == 1) { hdr.h.b = 2; }", before='#include "inner.p4"')
    (tmp_path / "outer.p4").write_text(program)
    compiled = compile_file(tmp_path / "outer.p4", Diagnostics())
    line = 1 + program[: program.index("hdr.h.b = 2")].count("\n")
    names = {table["name"] for table in pipeline(compiled.json)["tables"]}
    assert names == {"tbl_inner2", f"tbl_outer{line}"}


def test_a_field_of_an_element_chosen_at_run_time_is_found_by_its_place() -> None:
    """Also after other programs whose headers have the same names, in another order."""
    headers = "header one_t {{ {0} }} struct stacks_t {{ one_t[2] one; }}"
    places = []
    for fields in ("bit<8> a; bit<8> b;", "bit<8> b; bit<8> a;"):
        before = headers.format(fields)
        json = document("stacks_t s; bit<8> i = hdr.h.a; hdr.h.b = s.one[i].a;", before=before)
        (place,) = re.findall(r"'op': 'access_field'.*?'right': (\d+)", str(json))
        places.append(int(place))
    assert places == [0, 1]
