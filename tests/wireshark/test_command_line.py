"""`p4compiler --wireshark`: what is written, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4compiler.__main__ import main
from tests.wireshark.shark import ETHERNET, tshark, write_pcap

PROGRAM = str(Path(__file__).with_name("tunnel.p4"))


def test_only_the_dissector_is_written_unless_more_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--wireshark", "out/tunnel.lua", PROGRAM]) == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tunnel.lua"]
    assert main(["--wireshark", "out/tunnel.lua", PROGRAM, "-o", "both"]) == 0
    assert (tmp_path / "both" / "tunnel.json").exists() and (tmp_path / "both" / "tunnel.p4info.txtpb").exists()


def test_what_is_appended_sees_the_program(tmp_path: Path) -> None:
    more, out = tmp_path / "more.lua", tmp_path / "tunnel.lua"
    more.write_text("print('in', program.title, #program.hooks)\n")
    assert main(["--wireshark", str(out), "--wireshark-with", str(more), PROGRAM]) == 0
    assert "in\ttunnel.p4\t9" in tshark(out, write_pcap(tmp_path / "none.pcap", ETHERNET, []))


def test_a_program_that_computes_with_what_no_packet_has_says_so(tmp_path: Path) -> None:
    """A register's value, as one example."""
    from p4compiler.wireshark.expressions import Expressions, NotSupported

    with pytest.raises(NotSupported, match="a value of kind register"):
        Expressions({}, {}).lua({"type": "register", "value": ["r", {}]})


def test_mistakes_end_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--wireshark-with", "more.lua", PROGRAM])
    assert ended.value.code == 2 and "goes with --wireshark" in capsys.readouterr().err
    missing = str(tmp_path / "no.lua")
    assert main(["--wireshark", str(tmp_path / "out.lua"), "--wireshark-with", missing, PROGRAM]) == 1
    assert capsys.readouterr().err == f"error: {missing}: No such file or directory\n"
