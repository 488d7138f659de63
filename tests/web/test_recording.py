"""Recordings: what is written is read again, what does not fit is refused, and the document says what there is."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from web import recording
from web.recording import KINDS, RecordingError, Writer, fault_of, read

REPOSITORY = Path(__file__).parents[2]
HEADER: dict[str, Any] = {"title": "a run", "source": "simulator", "network": {}, "program": None}

EXAMPLES: dict[str, dict[str, Any]] = {
    "member": {"who": "h1", "group": 1, "set": {"role": "leader"}, "heard": True},
    "log": {"who": "h1", "group": 1, "at": 1, "entries": [[1, "noop", ""]]},
    "sent": {"who": "h1", "m": 1, "frame": "00ff", "to": "h2", "again": True, "hostile": False, "size": 2},
    "passed": {"m": 1, "hops": ["s1 1 1 22:3f 7", "s2 3 2 - -"]},
    "received": {"who": "h2", "m": 1, "copy": True, "astray": False},
    "dropped": {"who": "s1", "m": 1, "why": "stale_term"},
    "way": {"id": 1, "steps": [["state", 0, []]]},
    "switch": {"who": "s1", "up": True},
    "table": {"who": "s1", "table": "t", "do": "insert", "match": [1, [2, 24]], "action": "a", "values": [1]},
    "registers": {"who": "s1", "set": [["r", 0, 5]]},
    "counters": {"who": "s1", "set": [["c", 0, 5, 600]]},
    "controller": {"who": "controller", "text": "h1 leads", "set": {}},
    "call": {
        "who": "c1",
        "call": 1,
        "host": "h11",
        "port": 40000,
        "group": 1,
        "operation": "put",
        "key": "k",
        "value": "v",
    },
    "answer": {"who": "c1", "call": 1, "outcome": "ok", "value": "", "session": 4, "sequence": 1},
    "fault": {"fault": 1, "what": "kill -9", "us": 500, "by": "hand", "on": "h1"},
    "healed": {"fault": 1},
    "note": {"who": "h1", "text": "starts"},
    "sampled": {"told": 60, "of": 200},
    "broken": {"rule": "log matching", "text": "entries differ", "group": 1},
    "end": {"text": "all held", "hash": "00"},
}


def events() -> list[dict[str, Any]]:
    return [{"t": at, "k": kind, **fields} for at, (kind, fields) in enumerate(EXAMPLES.items())]


def test_there_is_an_example_of_every_kind_with_every_field() -> None:
    assert EXAMPLES.keys() == KINDS.keys()
    for name, kind in KINDS.items():
        assert EXAMPLES[name].keys() == {*kind.needs, *kind.may}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "run.rec"
    with Writer(file, HEADER) as writer:
        for event in events():
            writer.write(event)
    found = read(file)
    assert found.events == events()
    assert found.header == {"format": recording.FORMAT, "version": recording.VERSION, **HEADER}
    assert recording.whole(file) == (file.read_bytes(), 0)


def test_half_a_surrogate_pair_is_written_and_read(tmp_path: Path) -> None:
    event = {"t": 0, "k": "note", "who": "h1", "text": "\ud800 and ä"}
    with Writer(tmp_path / "run.rec", HEADER) as writer:
        writer.write(event)
    assert read(tmp_path / "run.rec").events == [event]


@pytest.mark.parametrize("patch", [(), ((4, b"\1\2"), (22, b"\3")), ((0, bytes(60)),)])
@pytest.mark.parametrize("values", [(), (7,), (1, 2**63)])
def test_hops_are_read_as_they_were_written(patch: Any, values: Any) -> None:
    text = recording.hop_text("s1", 3, 17, patch, values)
    assert recording.read_hop(text) == recording.Hop("s1", 3, 17, patch, values)
    assert not fault_of({"t": 0, "k": "passed", "m": 1, "hops": [text]})


def test_a_hop_knows_the_frame_that_came_in() -> None:
    sent = bytes(range(14)) + bytes.fromhex("45000073000040004011b861c0a80001c0a800c7") + bytes(30)
    assert recording.Hop("s1", 1, 1, (), ()).frame(sent) == sent
    assert recording.Hop("s1", 1, 1, ((2, b"\xff"),), ()).frame(sent) == sent[:2] + b"\xff" + sent[3:]
    one_less = recording.Hop("s1", 1, 1, ((22, b"\x3f"),), ()).frame(sent)
    assert one_less == sent[:22] + b"\x3f\x11\xb9\x61" + sent[26:], "with the checksum of RFC 1071"
    wrong = recording.Hop("s1", 1, 1, ((22, b"\x3f\x11\0\0"),), ()).frame(sent)
    assert wrong == sent[:22] + b"\x3f\x11\0\0" + sent[26:]
    assert recording.Hop("s1", 1, 1, ((0, b"\xff" * 20),), ()).frame(sent) == b"\xff" * 20


def test_a_full_disk_is_told_with_the_files_name() -> None:
    with (
        pytest.raises(OSError, match="No space left on device: '/dev/full'"),
        Writer(Path("/dev/full"), HEADER) as writer,
    ):
        for event in events():
            writer.write(event)


def test_equal_runs_are_equal_files(tmp_path: Path) -> None:
    files = [tmp_path / "a.rec", tmp_path / "b.rec"]
    for file in files:
        with Writer(file, HEADER) as writer:
            writer.write(events()[0])
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_event_needs_its_fields_and_has_no_others(kind: str) -> None:
    good = {"t": 5, "k": kind, **EXAMPLES[kind]}
    assert fault_of(good, 5) == ""
    assert "before" in fault_of(good, 6)
    assert "has no surprise" in fault_of({**good, "surprise": 1})
    for name in KINDS[kind].needs:
        assert f"needs {name}" in fault_of({key: value for key, value in good.items() if key != name})
    for name in good:
        assert fault_of({**good, name: None}), name


@pytest.mark.parametrize(
    "event",
    [
        7,
        {"k": "note", "who": "h1", "text": ""},
        {"t": 1.5, "k": "note", "who": "h1", "text": ""},
        {"t": 1, "k": "nothing"},
        {"t": 1, "k": "sent", "who": "h1", "m": 1, "frame": "0x"},
        {"t": 1, "k": "passed", "m": 1, "hops": ["s1 1 1 -"]},
        {"t": 1, "k": "table", "who": "s1", "table": "t", "do": "drop", "match": []},
        {"t": 1, "k": "log", "who": "h1", "group": 1, "at": 1, "entries": [[1, ""]]},
    ],
)
def test_what_is_no_event_is_refused(event: Any, tmp_path: Path) -> None:
    assert fault_of(event)
    with Writer(tmp_path / "run.rec", HEADER) as writer, pytest.raises(ValueError, match=r"."):
        writer.write(event)


def test_a_file_that_is_none_is_refused_with_a_line(tmp_path: Path) -> None:
    file = tmp_path / "run.rec"

    def refused() -> str:
        with pytest.raises(RecordingError) as caught:
            read(file)
        assert "\n" not in str(caught.value)
        assert str(file) in str(caught.value)
        return str(caught.value)

    assert "No such file" in refused()
    file.write_text("hello")
    assert "gzip" in refused()
    with Writer(file, HEADER) as writer:
        for event in events() * 1:
            writer.write(event)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refused()
    file.write_bytes(gzip.compress(b"hello\n"))
    assert "no JSON" in refused()
    file.write_bytes(gzip.compress(b'{"format":"another"}\n'))
    assert "does not begin" in refused()
    head = {"format": recording.FORMAT, **HEADER}
    file.write_bytes(gzip.compress(json.dumps({**head, "version": 99}).encode()))
    assert "version 99" in refused()
    file.write_bytes(gzip.compress(json.dumps({**head, "version": 1}).encode() + b'\n{"t":1,"k":"x"}\n'))
    assert "line 2" in refused()


def test_the_document_names_every_kind_with_its_fields_and_no_other() -> None:
    text = (REPOSITORY / "docs" / "recordings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", text, re.MULTILINE)
    told = {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}
    assert told == {name: {*kind.needs, *kind.may} for name, kind in KINDS.items()}
