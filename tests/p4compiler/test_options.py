"""The compiler's command line: which files, p4c-bm2-ss's flags, and what is said of those that change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import json_format, text_format

from p4compiler.__main__ import main
from p4compiler.options import Options, parse
from tests.p4compiler.mistakes import ingress

WARNED = ingress("hdr.h.a = 300;")
"""A program that gets a warning."""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("basic.p4")
    path.write_text(ingress("n.count(0);", "counter(4, CounterType.packets) n;"))
    return path


@pytest.mark.parametrize(
    ("words", "bmv2_json", "p4info"),
    [
        ("", "basic.json", {"basic.p4info.txtpb": "text"}),
        ("-o out", "out/basic.json", {"out/basic.p4info.txtpb": "text"}),
        ("-o out --no-p4info", "out/basic.json", {}),
        ("-o out/it.json", "out/it.json", {}),
        ("-o out/it.json --p4runtime-files a.txtpb,b.bin", "out/it.json", {"a.txtpb": "text", "b.bin": "binary"}),
        ("-o out --p4runtime-files a.json", "out/basic.json", {"a.json": "json"}),
        ("--p4runtime-file info --p4runtime-format text", "basic.json", {"info": "text"}),
        ("--p4runtime-file info", "basic.json", {"info": "binary"}),
    ],
)
def test_which_files_are_written(words: str, bmv2_json: str, p4info: dict[str, str]) -> None:
    options = parse([*words.split(), "basic.p4"], "p4c-lite")
    assert options.json == Path(bmv2_json)
    assert {str(path): form for path, form in options.p4info} == p4info


def test_a_folder_may_be_called_like_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "it.json"
    folder.mkdir()
    assert parse(["basic.p4", "-o", str(folder)], "p4c-lite").json == folder / "basic.json"


def test_a_lab_s_command_line() -> None:
    words = "--p4v 16 --std p4-16 --target bmv2 --arch v1model --emit-externs -Iinclude -I more -DA=1 -D B -D C -U C"
    options = parse([*words.split(), "-o", "basic.json", "basic.p4"], "p4c-lite")
    assert options == Options(
        Path("basic.p4"),
        Path("basic.json"),
        (),
        (Path("include"), Path("more")),
        (("A", "1"), ("B", "1")),
    )


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("-T backend:3 --dump x", ("-T", "--dump")),
        ("--Wwarn --disable-annotations=pure -O2", ("-O", "--disable-annotations", "--Wwarn")),
        ("-O", ("-O",)),
        ("--Werror=unused --Wdisable=shadow", ("--Wdisable=shadow", "--Werror=unused")),
        ("--Wdisable --Werror --emit-externs", ()),
    ],
)
def test_what_changes_nothing_is_said_once(
    words: str, flags: tuple[str, ...], program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse([*words.split(), str(program)], "p4c-lite").ignored == flags
    assert main([*words.split(), str(program)], "p4c-lite") == 0
    assert capsys.readouterr().err == "".join(f"p4c-lite: note: {flag} does nothing here\n" for flag in flags)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--std p4-14", "p4-14"),
        ("--arch psa", "psa"),
        ("--target tofino", "tofino"),
        ("-E", "-E"),
        ("-D 1=2", "expected NAME or NAME=VALUE"),
        ("--p4runtime-files info.p4i", "the suffix must be one of .txtpb, .txt, .json, .bin"),
    ],
)
def test_what_cannot_be_done_is_refused(words: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "basic.p4"])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_p4info_is_the_same_in_every_format(program: Path) -> None:
    assert main([str(program), "-o", "out/it.json", "--p4runtime-files", "a.txtpb,b.json,c.bin"]) == 0
    assert json.loads(Path("out/it.json").read_text())["program"] == "basic.p4"
    text = text_format.Parse(Path("a.txtpb").read_text(), p4i.P4Info())
    assert text.counters
    assert json_format.Parse(Path("b.json").read_text(), p4i.P4Info()) == text
    assert p4i.P4Info.FromString(Path("c.bin").read_bytes()) == text


def test_warnings_can_be_hidden_or_refused(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.write_text(WARNED)
    assert main([str(program)]) == 0
    assert "warning: " in capsys.readouterr().err
    assert main([str(program), "--Wdisable"]) == 0
    assert capsys.readouterr().err == ""
    Path("basic.json").unlink()
    assert main([str(program), "--Werror"]) == 1
    assert "warning: " in capsys.readouterr().err
    assert not Path("basic.json").exists()


def test_it_stops_after_as_many_errors_as_asked(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.write_text(ingress("a = 1; b = 2; c = 3;"))
    assert main([str(program), "--maxErrorCount", "2"]) == 1
    assert "stopped here after 2 errors" in capsys.readouterr().err
