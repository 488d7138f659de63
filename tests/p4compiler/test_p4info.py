from __future__ import annotations

from p4compiler.p4info.names import aliases, assign_ids, name_hash
from p4compiler.p4info.writer import p4info, p4info_text
from tests.p4compiler.short import HEAD, TAIL, compile_ok, with_ingress


def test_hash_of_known_names() -> None:
    # Ids that P4Info files of the tutorials and of the P4Runtime specification show.
    assert name_hash("NoAction") & 0xFFFFFF == 21257015 & 0xFFFFFF
    assert name_hash("MyIngress.ipv4_lpm") & 0xFFFFFF == 37375156 & 0xFFFFFF
    assert name_hash("MyIngress.drop") & 0xFFFFFF == 25652968 & 0xFFFFFF
    assert name_hash("MyIngress.ipv4_forward") & 0xFFFFFF == 28792405 & 0xFFFFFF


def test_ids_have_a_prefix_and_collisions_step_on() -> None:
    taken: set[int] = set()
    first = assign_ids(0x02, {"a.t": None, "fixed": 7}, taken)
    assert first["fixed"] == 0x02000007
    assert first["a.t"] >> 24 == 2
    again = assign_ids(0x02, {"a.t": None}, taken)
    assert again["a.t"] == 0x02000000 | ((name_hash("a.t") + 1) & 0xFFFFFF)


def test_alias_is_the_shortest_unique_suffix() -> None:
    found = aliases(["ingress.a.t", "ingress.b.t", "ingress.b.u", "t2", "x.t2"])
    assert found == {"ingress.a.t": "a.t", "ingress.b.t": "b.t", "ingress.b.u": "u", "t2": "t2", "x.t2": "x.t2"}


LOCALS = """
direct_counter(CounterType.packets_and_bytes) seen;
counter(32, CounterType.bytes) by_port;
register<bit<48>>(16) last;
meter(8, MeterType.packets) police;
action set(@name("port") bit<9> out_port, bit<8> mark) { sm.egress_spec = out_port; meta.x = mark; seen.count(); }
action unused() { }
@brief("Where to?") @id(5)
table route {
  key = { hdr.h.c: lpm @name("address"); hdr.h.isValid(): exact; hdr.h.a[3:0]: ternary; meta.y: optional; }
  actions = { set; @defaultonly NoAction; }
  default_action = set(4, 9);
  counters = seen;
  size = 99;
}
table never { actions = { unused; } }
"""


def test_table_action_and_extern_entries() -> None:
    info = p4info(compile_ok(with_ingress("route.apply(); by_port.count(1);", LOCALS)).program)
    (table,) = info.tables
    assert (table.preamble.name, table.preamble.alias, table.preamble.id) == ("ingress_c.route", "route", 0x02000005)
    assert table.preamble.doc.brief == "Where to?"
    assert [(f.id, f.name, f.bitwidth) for f in table.match_fields] == [
        (1, "address", 16),
        (2, "hdr.h.$valid$", 1),
        (3, "hdr.h.a[3:0]", 4),
        (4, "meta.y", 16),
    ]
    assert [f.match_type for f in table.match_fields] == [3, 2, 4, 6]
    assert table.size == 99 and not table.const_default_action_id
    names = {a.preamble.id: a.preamble.name for a in info.actions}
    assert sorted(names.values()) == ["NoAction", "ingress_c.set"]
    assert names[table.initial_default_action.action_id] == "ingress_c.set"
    assert [(a.param_id, a.value) for a in table.initial_default_action.arguments] == [(1, b"\0\x04"), (2, b"\x09")]
    assert table.action_refs[1].scope == 2
    (direct,) = info.direct_counters
    assert direct.direct_table_id == table.preamble.id and list(table.direct_resource_ids) == [direct.preamble.id]
    assert info.counters[0].size == 32 and info.counters[0].spec.unit == 1
    assert info.registers[0].type_spec.bitstring.bit.bitwidth == 48
    assert info.meters[0].size == 8
    params = next(a for a in info.actions if a.preamble.name == "ingress_c.set").params
    assert [(p.id, p.name, p.bitwidth) for p in params] == [(1, "port", 9), (2, "mark", 8)]


def test_names_of_nested_instances_and_annotations() -> None:
    before = """
control inner(inout meta_t meta) {
  action a() { meta.x = 1; }
  @name("renamed") table t { actions = { a; } default_action = a(); }
  @name(".absolute") table u { actions = { a; } default_action = a(); }
  apply { t.apply(); u.apply(); }
}
control middle(inout meta_t meta) { inner() first; inner() second; apply { first.apply(meta); second.apply(meta); } }
"""
    before = before.replace('@name(".absolute") table u { actions = { a; } default_action = a(); }\n', "").replace(
        " u.apply();", ""
    )
    info = p4info(compile_ok(with_ingress("mid.apply(meta);", "middle() mid;", before)).program)
    assert [t.preamble.name for t in info.tables] == ["ingress_c.mid.first.renamed", "ingress_c.mid.second.renamed"]
    assert [t.preamble.alias for t in info.tables] == ["first.renamed", "second.renamed"]
    assert [a.preamble.name for a in info.actions] == ["ingress_c.mid.first.a", "ingress_c.mid.second.a"]


def test_absolute_name() -> None:
    info = p4info(
        compile_ok(with_ingress("t.apply();", '@name(".top.t") table t { actions = { NoAction; } }')).program
    )
    assert info.tables[0].preamble.name == "top.t"


def test_tables_stand_where_their_instance_is_declared_whatever_their_names() -> None:
    before = """
control inner(inout meta_t meta) {
  @name(".late") table u { actions = { NoAction; } }
  @name(".early") table t { actions = { NoAction; } }
  apply { t.apply(); u.apply(); }
}
control side() { table s { actions = { NoAction; } } apply { s.apply(); } }
"""
    locals_ = """
@name(".z") table a { actions = { NoAction; } }
inner() i;
table b { actions = { NoAction; } }
"""
    text = with_ingress("side.apply(); b.apply(); i.apply(meta); a.apply();", locals_, before)
    names = [table.preamble.name for table in p4info(compile_ok(text).program).tables]
    assert names == ["z", "late", "early", "ingress_c.b", "ingress_c.side.s"]


def test_objects_of_the_top_level_come_first_as_declared() -> None:
    before = "register<bit<8>>(1) one; register<bit<8>>(2) two;"
    locals_ = "register<bit<8>>(3) three;"
    info = p4info(
        compile_ok(with_ingress("three.write(0, 1); two.write(0, 1); one.write(0, 1);", locals_, before)).program
    )
    assert [r.preamble.name for r in info.registers] == ["one", "two", "ingress_c.three"]


def test_an_object_made_in_a_table_has_the_annotations_of_its_property() -> None:
    table = """
table t {
  key = { meta.y: selector; }
  actions = { NoAction; }
  @name("first") @name("second") @max_group_size(200) @selector_size_semantics("sum_of_weights") @other
  implementation = action_selector(HashAlgorithm.identity, 32w1024, 32w10);
}
"""
    info = p4info(compile_ok(with_ingress("t.apply();", table)).program)
    (profile,) = info.action_profiles
    assert (profile.preamble.name, profile.max_group_size) == ("first", 200)
    assert profile.HasField("sum_of_weights") and list(profile.preamble.annotations) == ["@other"]


def test_controller_headers_digests_and_new_types() -> None:
    before = """
@p4runtime_translation("lab/port", 32) type bit<9> port_id_t;
type bit<16> tag_t;
enum bit<8> kind_t { one = 1, two = 2 }
@controller_header("packet_in") header in_t { bit<9> port; @padding bit<7> pad; }
struct digest_t { bit<8> a; tag_t b; kind_t k; }
"""
    body = "digest<digest_t>(1, { hdr.h.a, (tag_t) hdr.h.c, kind_t.two }); t.apply();"
    locals_ = "action go(port_id_t p) { sm.egress_spec = (bit<9>) p; } table t { actions = { go; NoAction; } }"
    info = p4info(compile_ok(with_ingress(body, locals_, before)).program)
    (header,) = info.controller_packet_metadata
    assert (header.preamble.name, header.preamble.id >> 24) == ("packet_in", 4)
    assert header.preamble.id & 0xFFFFFF == name_hash("in_t") & 0xFFFFFF
    assert [(m.name, m.bitwidth) for m in header.metadata] == [("port", 9), ("pad", 7)]
    assert info.digests[0].preamble.name == "digest_t"
    assert set(info.type_info.new_types) == {"port_id_t", "tag_t"}
    assert info.type_info.new_types["port_id_t"].translated_type.sdn_bitwidth == 32
    assert [m.value for m in info.type_info.serializable_enums["kind_t"].members] == [b"\x01", b"\x02"]
    param = next(a for a in info.actions if a.preamble.name.endswith("go")).params[0]
    assert (param.bitwidth, param.type_name.name) == (32, "port_id_t")


def test_const_entries_and_profiles() -> None:
    locals_ = """
action_selector(HashAlgorithm.crc16, 128, 10) ways;
action go(bit<9> p) { sm.egress_spec = p; }
table picked { key = { hdr.h.a: exact; hdr.h.b: selector; } actions = { go; NoAction; } implementation = ways; }
table fixed { key = { hdr.h.a: exact; } actions = { go; NoAction; } const entries = { 1: go(2); 3: go(4); } }
"""
    info = p4info(compile_ok(with_ingress("picked.apply(); fixed.apply();", locals_)).program)
    picked, fixed = info.tables
    assert [f.name for f in picked.match_fields] == ["hdr.h.a"]
    assert picked.implementation_id == info.action_profiles[0].preamble.id
    assert info.action_profiles[0].with_selector and info.action_profiles[0].size == 128
    assert fixed.is_const_table and fixed.has_initial_entries and not picked.is_const_table


def test_text_begins_with_the_file_comment() -> None:
    text = p4info_text(compile_ok(with_ingress("")).program)
    assert text.startswith("# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n")
    assert HEAD and TAIL
