"""What is generated: the same text each time, built once however many ask, clean under the sanitizers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from p4switch.codegen import generate
from p4switch.pipeline import native
from p4switch.pipeline.native import FLAGS, QUICK
from p4switch.pipeline.pipeline import BuildError, Exact, Pipeline, ProgramError
from p4switch.program_json import parse_program
from tests.p4switch.bmv2json import Programs, assign, call, fld, hexstr, op, send_to
from tests.p4switch.everything import everything

REPOSITORY = Path(__file__).parents[3]


def test_the_same_program_gives_the_same_text() -> None:
    texts = [generate(parse_program(everything().json())).files for _ in range(2)]
    assert texts[0] == texts[1]


def test_p4_names_and_lines_stand_in_the_text() -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    info = {"filename": "dir/prog.p4", "line": 17, "source_fragment": "hdr.h.a = 5 */"}
    p.run({**assign(("h", "a"), 5), "source_info": info})
    text = generate(parse_program(p.json())).files["actions.c"]
    assert "prog.p4:17 hdr.h.a = 5 * /" in text


def test_step_lists_all_parts_and_nothing_is_negated_twice() -> None:
    files = generate(parse_program(everything().json())).files
    listed = re.findall(r'^#include "(\w+\.[ch])" /\*', files["step.c"], re.MULTILINE)
    assert sorted([*listed, "step.c"]) == sorted(files)
    assert sum(text.count("if (!") for text in files.values()) > 0
    assert [found for text in files.values() for found in re.findall(r".*(?:!!|!\(+!\().*", text)] == []


def peeked(p: Programs, table: str = "t") -> str:
    """Where the generated code looks for the words of the table's key: ``{byte, bytes}, …``."""
    text = generate(parse_program(p.json())).files["tables.c"]
    found = re.search(rf"peek_{table}\[\] = \{{(.*)\}};", text)
    return re.sub(r"\.\w+ = ", "", found[1]) if found else ""


def keyed(*key: tuple[str, str, str], parse: Sequence[str] = ("eth", "ip")) -> Programs:
    p = Programs(parse=list(parse))
    p.header("eth", {"dst": 48, "src": 48, "type": 16})
    p.header("tag", {"len": 8})
    p.header("options", {"data": "*"}, max_length=32)
    p.header("ip", {"version": 4, "ihl": 4, "ttl": 8, "dst": 128, "part": 12, "rest": 4})
    p.action("to", send_to(2))
    p.table("t", key, ["to"])
    return p


def test_keys_are_found_in_a_frame_before_it_is_parsed() -> None:
    assert peeked(keyed(("exact", "eth", "dst"))) == "{0, 6}"
    assert peeked(keyed(("lpm", "ip", "dst"), ("exact", "eth", "type"))) == "{24, 8}, {16, 8}, {12, 2}"


def test_keys_without_a_place_in_the_frame_are_not_looked_for() -> None:
    assert peeked(keyed(("exact", "ip", "ihl"))) == ""
    assert peeked(keyed(("exact", "ip", "part"))) == ""
    assert peeked(keyed(("exact", "eth", "dst"), ("exact", "standard_metadata", "ingress_port"))) == ""
    assert peeked(keyed(("exact", "eth", "dst"), parse=["ip"])) == ""


@pytest.mark.parametrize(
    ("first", "found"), [("ip", "{24, 8}, {16, 8}"), ("tagged", "{25, 8}, {17, 8}"), ("varied", "")]
)
def test_the_shortest_way_through_the_parser_tells_where_a_header_is(first: str, found: str) -> None:
    p = keyed(("lpm", "ip", "dst"), parse=())
    varied = {"op": "extract_VL", "parameters": [{"type": "regular", "value": "options"}, fld("tag", "len")]}
    p.state("start", [p.extract("eth")], [fld("eth", "type")], [(1, first)], default="deep")
    p.state("tagged", [p.extract("tag")], default="ip")
    p.state("varied", [varied], default="ip")
    p.state("ip", [p.extract("ip")])
    p.state("deep", [], default="deeper")
    p.state("deeper", [], default="deepest")
    p.state("deepest", [p.extract("tag")], default="ip" if found else None)
    assert peeked(p) == found


@pytest.mark.parametrize("flags", [("-O0",), ("-O2", "-fno-strict-aliasing"), ("-Os",)])
def test_optimisation_changes_nothing(flags: tuple[str, ...], build_cache: Path) -> None:
    program = everything().json()
    with (
        Pipeline.load(program, cache=build_cache) as a,
        Pipeline.load(program, cache=build_cache, flags=(*flags, *FLAGS[1:])) as b,
    ):
        for i in range(200):
            frame = bytes((i * 7 + j * j * (i % 5)) & 0xFF for j in range(i % 90))
            assert a.step(i % 4, frame, i, i) == b.step(i % 4, frame, i, i)


def test_a_built_program_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = everything().json()
    Pipeline.load(program, cache=tmp_path, flags=QUICK).close()
    monkeypatch.setattr(native, "generate", None)
    Pipeline.load(program, cache=tmp_path, flags=QUICK).close()


def test_a_new_program_text_or_flag_is_built_anew(tmp_path: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.run(send_to(1))
    Pipeline.load(p.json(), cache=tmp_path, flags=QUICK).close()
    Pipeline.load(p.json(), cache=tmp_path, flags=("-O1", *QUICK[1:])).close()
    p.run(assign(("h", "a"), op("+", fld("h", "a"), 1)))
    with Pipeline.load(p.json(), cache=tmp_path, flags=QUICK) as pipeline:
        assert pipeline.step(0, b"\1", 0).packets == ((1, b"\2"),)
    assert len(list(tmp_path.glob("*/program.so"))) == 3


def test_many_processes_build_once(tmp_path: Path) -> None:
    """Eight start at the same time on an empty cache; a compiler that counts its calls says how many compiled."""
    log = tmp_path / "calls"
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec cc "$@"\n')
    compiler.chmod(0o755)
    code = f"""
from pathlib import Path
from p4switch.pipeline.pipeline import Pipeline
from tests.p4switch.everything import everything
pipeline = Pipeline.load(everything().json(), cache=Path({str(tmp_path / "cache")!r}))
print(len(pipeline.step(0, b"abc", 0).packets))
"""
    environment = {**os.environ, "CC": str(compiler), "PYTHONPATH": str(REPOSITORY)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    outputs = {p.communicate()[0] for p in processes}
    assert len(outputs) == 1 and all(p.returncode == 0 for p in processes)
    calls = log.read_text().splitlines()
    assert sum("-c step.c" in call for call in calls) == 1
    assert len(calls) == 3


def test_names_that_mean_something_in_c(build_cache: Path) -> None:
    names = ["leave", "int", "packet", "p4_step", "size_t", "NULL", "9lives", "a.b", "a_b", "memcpy", "varbit_8", "t"]
    p = Programs()
    for name in names:
        p.header(name, dict.fromkeys((*names, "valid", "p", "sw"), 8))
        p.action(name, assign((name, name), op("+", fld(name, "valid"), 1)))
        p.table(name, [], [name], default=name)
    p.run(send_to(1))
    p.parse = names[:2]
    with Pipeline.load(p.json(), cache=build_cache) as pipeline:
        ((_, frame),) = pipeline.step(0, bytes(2 * 15), 0).packets
        assert [frame[0], frame[15 + 1]] == [1, 1]


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BuildError, match="no-such-compiler is not on the PATH"):
        Pipeline.load(everything().json(), cache=tmp_path)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{", "not JSON"),
        ("{}", "header_types"),
        (
            '{"header_types":[],"headers":[],"parsers":[],"pipelines":[],"actions":[],"__meta__":{"version":[3,0]}}',
            "3.0",
        ),
        (
            '{"header_types":[{"name":"h","fields":[["r",8],["x",8],["r",8]]}],"headers":[],"parsers":[],'
            '"pipelines":[],"actions":[]}',
            "h has two fields of one name",
        ),
        ('{"header_types":[{}],"headers":[],"parsers":[],"pipelines":[],"actions":[]}', "malformed"),
    ],
)
def test_what_is_not_a_program_is_refused(source: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=what):
        Pipeline.load(source, cache=tmp_path)


@pytest.mark.parametrize("use", ["extract", "emit", "compare", "make valid"])
def test_metadata_are_not_in_a_packet(use: str, tmp_path: Path) -> None:
    """A program that has no header of their type would refer to functions that are not there."""
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    if use == "compare":
        same = {"type": "header", "value": "m"}
        p.action(
            "same", assign(("h", "a"), {"type": "expression", "value": {"op": "==", "left": same, "right": same}})
        )
    if use == "make valid":
        p.action("valid", {"op": "add_header", "parameters": [{"type": "header", "value": "m"}]})
    data = p.json()
    data["header_types"].append({"name": "m_t", "id": 90, "fields": [["b", 8, False]]})
    data["headers"].append({"name": "m", "id": 90, "header_type": "m_t", "metadata": True})
    if use == "extract":
        operation = {"op": "extract", "parameters": [{"type": "regular", "value": "m"}]}
        data["parsers"][0]["parse_states"][0]["parser_ops"].append(operation)
    if use == "emit":
        data["deparsers"][0]["order"].append("m")
    with pytest.raises(ProgramError, match="m_t is metadata"):
        Pipeline.load(data, cache=tmp_path)


def test_a_calculation_that_is_not_there_is_named(tmp_path: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 16})
    data = p.json()
    checksum = {"name": "sum", "id": 0, "target": ["h", "a"], "type": "generic", "calculation": "lost"}
    for which in ("verify", "update"):
        with pytest.raises(ProgramError, match="no calculation lost"):
            Pipeline.load({**data, "checksums": [{**checksum, which: True}]}, cache=tmp_path)
    lost = {"type": "calculation", "value": "lost"}
    p.action("hash", call("modify_field_with_hash_based_offset", fld("h", "a"), hexstr(0), lost, hexstr(7)))
    with pytest.raises(ProgramError, match="no calculation lost"):
        Pipeline.load(p.json(), cache=tmp_path)


def test_instances_have_names_of_their_own(tmp_path: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.stack("s", p.headers[0][1], 2)
    data = p.json()
    (stack,) = data["header_stacks"]
    with pytest.raises(ProgramError, match="two instances are named h"):
        Pipeline.load({**data, "header_stacks": [{**stack, "name": "h"}]}, cache=tmp_path)
    p.union("u", "u_t", {"one": p.headers[0][1], "two": p.headers[0][1]})
    p.union_types["u_t"][1][0] = "one"
    with pytest.raises(ProgramError, match="u_t has the name of a header type, or two members of one name"):
        Pipeline.load(p.json(), cache=tmp_path)


def test_an_unknown_primitive_is_named(tmp_path: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.action("odd", {"op": "explode", "parameters": []})
    with pytest.raises(ProgramError, match=r"odd.*explode"):
        Pipeline.load(p.json(), cache=tmp_path)


SANITIZED = ("-O1", "-g", *FLAGS[1:], "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def test_random_packets_and_edits_under_the_sanitizers(build_cache: Path) -> None:
    """In a process of its own, because the address sanitizer must be loaded first."""
    runtime = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.fail("the C compiler has no address sanitizer (install libasan)")
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-m", "tests.p4switch.everything", str(build_cache), "6000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "6000 packets" in done.stdout


def test_closing_twice_and_tables_of_their_own(build_cache: Path) -> None:
    p = Programs(parse=["h"])
    p.header("h", {"a": 8})
    p.action("to", send_to(2))
    p.table("t", [("exact", "h", "a")], ["to"])
    one, two = (Pipeline.load(p.json(), cache=build_cache) for _ in range(2))
    one.insert("t", [Exact(1)], "to")
    assert one.step(0, b"\1", 0).packets == ((2, b"\1"),)
    assert two.step(0, b"\1", 0).packets == ((0, b"\1"),)
    one.close()
    one.close()
    assert two.step(0, b"\1", 0).packets == ((0, b"\1"),)
    two.close()
