"""The STF runner: its grammar, what it finds different, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.stf import runner as stf
from p4switch.stf.runner import Run
from p4switch.stf.script import Add, Call, CheckCounter, Command, Expect, Packet, SetDefault, StfError, parse
from tests.p4switch.bmv2json import Programs, assign, call, drop, fld, param, send_to


def program() -> Programs:
    p = Programs(parse=["h"])
    p.header("h", {"a": 32, "b": 16})
    p.counters.append({"name": "in.hits", "id": 0, "size": 4, "is_direct": False})
    p.action("in.to", send_to(param(0)), assign(("h", "b"), param(1)), params={"port": 9, "b": 16})
    p.action("in.count", call("count", {"type": "counter_array", "value": "in.hits"}, fld("h", "b")), send_to(1))
    p.action("in.drop", drop())
    p.action("in.group", assign(("standard_metadata", "mcast_grp"), 1))
    names = ["in.to", "in.count", "in.drop", "in.group"]
    p.table("in.tern", [("ternary", "h", "a"), ("exact", "h", "b")], names, default="in.count")
    return p


def differences(text: str, cache: Path) -> list[str]:
    with Pipeline.load(program().json(), cache=cache, flags=QUICK) as pipeline:
        return Run(pipeline).run(parse(text))


def test_grammar() -> None:
    statements = parse(
        """
        # a comment
        packet 0 0102 AA bb   # and another
        expect 1 01** AA$
        expect 2
        add tab 5 data.f1:0x****0101 data.$valid:0b1 ctl.act(val:0x7f, port:2) = A
        add t2 k: 5 act()
        setdefault t3 do_it(x:1)
        check_counter cnt(10) packets >= 2
        mc_node_create 400 6 7
        wait
        """
    )
    assert statements == [
        Packet(3, 0, b"\x01\x02\xaa\xbb"),
        Expect(4, 1, "01**AA", True),
        Expect(5, 2, None, False),
        Add(
            6,
            "tab",
            5,
            (("data.f1", "0x****0101"), ("data.$valid", "0b1")),
            Call("ctl.act", (("val", "0x7f"), ("port", "2"))),
        ),
        Add(7, "t2", None, (("k", "5"),), Call("act", ())),
        SetDefault(8, "t3", Call("do_it", (("x", "1"),))),
        CheckCounter(9, "cnt", "10", "packets", ">=", 2),
        Command(10, "mc_node_create", ("400", "6", "7")),
        Command(11, "wait", ()),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("fly 1", "unknown statement fly"),
        ("packet", r"write packet PORT HEX: packet"),
        ("packet x 00", "there is no port x"),
        ("packet 0 0g", "pairs of hex digits"),
        ("packet 0 012", "pairs of hex digits"),
        ("expect", r"write expect PORT \[HEX\]: expect"),
        ("expect 1 12x", "hex digits and"),
        ("add t", "add ends with an action"),
        ("add t k:1", "add ends with an action"),
        ("add act()", "write add TABLE"),
        ("add t high k:1 act()", "'high' is no number"),
        ("add t -1 k:1 act()", "-1 is not a number from 0 on"),
        ("setdefault", "write setdefault TABLE ACTION"),
        ("setdefault t", "an action is NAME"),
        ("mirroring_add 1", "takes 2 words"),
        ("check_counter c(1) packets == two", "'two' is no number"),
    ],
)
def test_a_bad_line_is_named(line: str, what: str) -> None:
    with pytest.raises(StfError, match=f"line 2: .*{what}"):
        parse(f"wait\n{line}\n")


def test_tables_and_packets(build_cache: Path) -> None:
    text = """
    add tern 10 a:0x0a****** h.b:5 to(port:2, b:0xbeef)
    add in.tern 20 a:0x0a0b**** b:5 drop()
    packet 0 0a010203 0005 ff
    packet 0 0a0b0203 0005 ff
    packet 0 0b010203 0001
    expect 2 0a01****beef
    expect 1 0b0102030001$
    check_counter hits(1) packets == 1
    check_counter in.hits(1) bytes == 6
    setdefault tern in.drop()
    packet 0 0b010203 0002
    check_counter hits(2) packets == 0
    """
    assert differences(text, build_cache) == []


def test_multicast_and_registers_of_the_cli(build_cache: Path) -> None:
    text = """
    mc_mgrp_create 1
    mc_node_create 400 6
    mc_node_create 401 7 8
    mc_node_associate 1 0
    mc_node_associate 1 1
    setdefault tern group()
    packet 0 0000000000aa
    expect 6 0000000000aa
    expect 7
    expect 8 000000000*aa$
    counter_write hits 3 7 8
    check_counter hits(3) bytes != 9
    """
    assert differences(text, build_cache) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("packet 0 000000010001\nexpect 1 000000020001", "differs at byte 3"),
        ("packet 0 000000010001ff\nexpect 1 000000010001$", "7 bytes came, 6 are expected"),
        ("packet 0 000000010001\nexpect 1 00000001000100", "6 bytes came, 7 are expected"),
        ("packet 0 000000010001\nexpect 2 000000010001\nexpect 1", "port 2: line 2 expects"),
        ("packet 1 000000010001", "port 1: 000000010001 came, nothing is expected"),
        ("setdefault tern drop()\npacket 0 000000010001\nexpect 1", "port 1: a packet is expected, none came"),
        ("packet 0 000000010001\nno_packet", "no packet is expected"),
        ("check_counter hits(0) packets > 0", "hits(0) packets is 0, not > 0"),
    ],
)
def test_differences_are_told(text: str, what: str, build_cache: Path) -> None:
    found = differences(text, build_cache)
    assert len(found) == 1 and what in found[0]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("add nothing k:1 act()", "no table nothing"),
        ("add tern a:0x1 c:2 drop()", "no key c"),
        ("add tern a:0x1 fly()", "no action in table in.tern fly"),
        ("setdefault tern to(port:1)", "needs b"),
        ("setdefault tern to(port:1, b:2, c:3)", "no parameter c"),
        ("check_counter nothing(1) packets == 1", "no counter nothing"),
        ("mc_node_associate 1 0", "no multicast group 1"),
        ("act_prof_create_group nothing", "no profile nothing"),
        ("table_indirect_add_with_group tern 1 2 => 0", "a group of its profile"),
    ],
)
def test_what_the_program_lacks_is_named(line: str, what: str, build_cache: Path) -> None:
    with pytest.raises(StfError, match=what.replace("(", r"\(")):
        differences(line, build_cache)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("add tern a:0x1 b:65536 drop()", "key h.b: 65536 does not fit 16 bits"),
        ("add tern a:0x1 b:-32769 drop()", "key h.b: -32769 does not fit 16 bits"),
        ("add tern a:0x1ffff**** b:1 drop()", "key h.a: 0x1ffff0000 does not fit 32 bits"),
        ("add tern a:99999999999999999999 b:1 drop()", "key h.a: 99999999999999999999 does not fit 32 bits"),
        ("add tern a:1&&&0x1ffffffff b:1 drop()", "key h.a: 0x1ffffffff does not fit 32 bits"),
        ("add tern a:one b:1 drop()", "'one' is no number"),
        ("add tern a:0x1 b:1 to(port:512, b:1)", "parameter port: 512 does not fit 9 bits"),
        ("setdefault tern to(port:1, b:0x10000)", "parameter b: 0x10000 does not fit 16 bits"),
        ("check_counter hits(4) packets == 0", "has 4 cells; there is no index 4"),
        ("counter_read hits -1", "has 4 cells; there is no index -1"),
        ("counter_write hits 0 18446744073709551616 0", "18446744073709551616 is not a number from 0 to"),
        ("counter_write hits 0 0 -1", "-1 is not a number from 0 to"),
        ("mc_mgrp_create x", "'x' is no number"),
        ("mc_mgrp_create 0", "multicast group 0 is not within 1..65535"),
        ("mc_node_create 65536 1", "65536 is not a number from 0 to 65535"),
        ("mc_node_update 0 1", "no multicast node of number 0: 0 were made"),
        ("mc_mgrp_create 1\nmc_node_create 1 1\nmc_node_associate 1 -1", "-1 is not a number from 0 on"),
        ("mirroring_add 40000 1", "clone session 40000 is not within 0..32767"),
    ],
)
def test_what_does_not_fit_is_refused(line: str, what: str, build_cache: Path) -> None:
    with pytest.raises(StfError, match=rf"line {line.count(chr(10)) + 1}: .*{what}"):
        differences(line, build_cache)


def test_a_negative_number_is_its_two_s_complement(build_cache: Path) -> None:
    text = "add tern a:-1 b:-32768 drop()\npacket 0 ffffffff8000\nexpect 1 000000010001\npacket 0 000000010001"
    assert differences(text, build_cache) == []


def test_command_line(build_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled, good, bad = tmp_path / "p.json", tmp_path / "good.stf", tmp_path / "bad.stf"
    compiled.write_text(json.dumps(program().json()))
    good.write_text("packet 0 000000010001\nexpect 1 000000010001$\n")
    bad.write_text("packet 0 000000010001\nexpect 1 000000010002$\n")
    cache = ["--cache", str(build_cache)]
    assert stf.main([str(compiled), str(good), *cache]) == 0
    assert capsys.readouterr().out == f"ok   {good}\n"
    assert stf.main(["p.p4", str(bad), "--json", str(compiled), *cache]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"FAIL {bad}: port 1, packet 1 (line 2): differs at byte 5")
    assert "received 000000010001" in captured.err
    assert stf.main([str(compiled), str(good), str(compiled), str(bad), *cache]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2 passed"
    assert stf.main([str(compiled), str(tmp_path / "none.stf"), *cache]) == 1
    captured = capsys.readouterr()
    assert (captured.out.count("cannot be read"), captured.err) == (1, "")
    bad.write_text("packet\n")
    assert stf.main([str(compiled), str(bad), *cache]) == 1
    assert capsys.readouterr() == (f"FAIL {bad}: line 1: write packet PORT HEX: packet\n", "")
    with pytest.raises(SystemExit) as usage:
        stf.main([str(compiled)])
    assert usage.value.code == 2


def test_a_program_is_compiled_first(
    build_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argparse", "p4compiler"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the module that was meant')")
    monkeypatch.chdir(tmp_path)
    source, test = tmp_path / "wrong.p4", tmp_path / "t.stf"
    source.write_text("parser (\n")
    test.write_text("wait\n")
    assert stf.main([str(source), str(test), "--cache", str(build_cache)]) == 1
    told = capsys.readouterr().out
    assert "expected a name for the parser" in told and "not the module" not in told


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("act_prof_create_member chosen ingress.set", "needs v"),
        ("act_prof_create_member chosen ingress.fly 1", "no action ingress.fly"),
        ("act_prof_add_member_to_group chosen 0 0", "no group in chosen of number 0"),
        ("table_indirect_add_with_group ingress.t 1 2 => 0", "each of its 1 keys"),
    ],
)
def test_what_a_selector_lacks_is_named(
    line: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "wrong.stf"
    script.write_text(line + "\n")
    assert stf.main(["tests/stf/action_selector.p4", str(script)]) == 1
    assert what in "".join(capsys.readouterr())
