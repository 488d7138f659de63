"""What benchmarks record, the page that is drawn of it, and the README's table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import figures, record
from bench.__main__ import main as bench
from bench.consensus import grounds
from bench.consensus.grounds import Timing
from bench.figures import BEGIN, END, README, ROWS, page, put_into, readme_table
from bench.plot import Series
from bench.record import Record, RecordError


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    return record.folder()


def recorded(commit: str = "abc1234") -> list[Record]:
    """What all rows of the README's table are of."""
    made = []
    for number, words in enumerate(dict.fromkeys(row.words for row in ROWS)):
        series = []
        for row in ROWS:
            if row.words == words:
                labels = (row.ours, *(label for _, label in row.beside))
                series += [Series(row.panel, label, label.split()[0], (1.0, 2000.5, 9e6)) for label in labels]
        one = Record(
            tuple(words.split()), f"2026-01-0{number + 1}", commit, "2 processors", ("durable",), tuple(series)
        )
        made.append(one)
    return made


def test_what_is_kept_is_read_again_with_its_conditions(records: Path) -> None:
    series = [Series("commits/s", "etcd, 64 B", "etcd", (1.0, 2.5))]
    file = record.keep(["commit", "--size", "64"], ["durable"], series, {"elections": 0, "holds": True})
    assert file is not None and file.parent == records
    (one,) = record.read_all(records)
    assert one.command == "python -m bench commit --size 64"
    assert one.series == tuple(series)
    assert one.facts == {"elections": 0, "holds": True} and one.conditions == ("durable",)
    assert "processors" in one.machine and one.commit
    again = record.keep(["commit", "--size", "64"], ["durable"], series)
    assert again == file and len(record.read_all(records)) == 1
    record.keep(["commit", "--size", "65"], ["durable"], series)
    assert len(record.read_all(records)) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 0}', '{"format": 1, "series": []}'])
def test_what_is_no_record_is_named(text: str, records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records.mkdir(parents=True)
    (records / "x.json").write_text(text)
    with pytest.raises(RecordError, match=r"x\.json is no record of a benchmark .*: remove it"):
        record.read_all(records)


def test_the_page_holds_every_record_and_cannot_be_broken_by_one(records: Path) -> None:
    odd = Record(("core",), "now", "c", "m", ("<b>",), (Series("a & b", "<i>", "etcd", (3.0,)),), {"x<y": 0.5})
    text = page([*recorded(), odd])
    for one in recorded():
        assert one.command in text and one.when in text
    assert "&lt;b&gt;" in text and "&lt;i&gt;" in text and "x&lt;y" in text and "a &amp; b" in text
    assert "<b>" not in text and "<i>" not in text
    assert text.count("<svg") == len(recorded()) + 1


def test_the_table_says_medians_and_of_what_they_are() -> None:
    table = readme_table(recorded())
    assert "commit abc1234" in table and "2 processors" in table
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(ROWS)
    assert "| 2,000 | etcd: 2,000 |" in rows[2] and "2000.500 s" in rows[4]


def test_figures_of_two_commits_or_of_some_rows_only_are_no_table() -> None:
    with pytest.raises(RecordError, match="different commits"):
        readme_table([*recorded()[:-1], recorded("def5678")[-1]])
    with pytest.raises(RecordError, match=r"nothing is recorded of: sudo .* switch"):
        readme_table(recorded()[:-1])


def test_the_readme_has_a_place_for_the_table_and_keeps_the_rest() -> None:
    text = README.read_text(encoding="utf-8")
    changed = put_into(text, "NEW\n")
    assert changed.startswith(text.partition(BEGIN)[0] + BEGIN + "NEW\n" + END)
    assert changed.endswith(text.partition(END)[2])
    with pytest.raises(RecordError, match="put them back"):
        put_into("nothing", "NEW\n")


def test_commands_of_the_table_are_commands() -> None:
    """They stand in the README, too, with what was measured before there were records."""
    text = README.read_text(encoding="utf-8")
    for row in ROWS:
        assert f"`{row.words}" in text


def test_a_benchmark_leaves_a_record_that_is_drawn(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "figures"])
    assert bench() == 1
    assert "run benchmarks first, with: make bench" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["bench", "core", "--entries", "2000", "--rounds", "2", "--json"])
    assert bench() == 0
    rates = json.loads(capsys.readouterr().out)["entries_per_s"]
    (one,) = record.read_all(records)
    assert one.series[0].values == tuple(rates)
    monkeypatch.setattr("sys.argv", ["bench", "figures"])
    assert bench() == 0
    drawn = (records.parent / "index.html").read_text(encoding="utf-8")
    assert "entries/s through three cores" in drawn
    with grounds.loopback(3, 1, Timing()):
        assert record.read_all(records) == [one], "the next benchmark clears its own away, that"


def test_the_table_is_written_only_if_it_is_asked_for(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"a\n{BEGIN}old\n{END}b\n")
    monkeypatch.setattr(figures, "README", readme)
    for one in recorded():
        record.keep(one.words, one.conditions, one.series)
    monkeypatch.setattr("sys.argv", ["bench", "figures"])
    assert bench() == 0 and "old" in readme.read_text()
    monkeypatch.setattr("sys.argv", ["bench", "figures", "--readme"])
    assert bench() == 0
    assert "old" not in readme.read_text() and "| 2,000 | etcd: 2,000 |" in readme.read_text()
    assert readme.read_text().startswith("a\n") and readme.read_text().endswith("b\n")


def test_what_cannot_be_written_is_said_and_takes_nothing_of_what_was_measured(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records.parent.mkdir(parents=True)
    records.write_text("a file where the folder ought to be")
    monkeypatch.setattr("sys.argv", ["bench", "core", "--entries", "2000", "--rounds", "1", "--json"])
    assert bench() == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["entries_per_s"]
    assert told.err.startswith("bench: cannot write ") and "Traceback" not in told.err
    records.unlink()
    record.keep(["core"], [])
    (records.parent / "index.html").mkdir()
    monkeypatch.setattr("sys.argv", ["bench", "figures"])
    assert bench() == 1
    assert "index.html: Is a directory" in capsys.readouterr().err
