"""`switchraft log NODE --verify`: what is on a node's disk, without a lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hosts.raft.message import Entry, EntryKind, HardState
from hosts.storage.log import DiskLog
from topo import paths
from topo.errors import LabError
from topo.views import log as log_view


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "nodes", lambda: tmp_path)
    folder = tmp_path / "h1" / "group-1"
    folder.mkdir(parents=True)
    opened = DiskLog.open(folder)
    opened.append(HardState(3, 2), [Entry(3, index, EntryKind.COMMAND, bytes(50)) for index in range(1, 9)])
    opened.close()
    return folder


def test_a_whole_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_view.verify("h1", group=None, as_json=False)
    assert "group-1: whole: 1 segments" in capsys.readouterr().out
    log_view.verify("h1", group=1, as_json=True)
    report = json.loads(capsys.readouterr().out)["logs"]["group-1"]
    assert (report["entries"], report["last_index"], report["damage"]) == (8, 8, None)
    assert report["hard_state"] == {"current_term": 3, "voted_for": 2}


def test_damage_is_an_error(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment = max((path for path in log.iterdir()), key=lambda path: path.stat().st_size)
    data = bytearray(segment.read_bytes())
    data[150] ^= 1
    segment.write_bytes(data)
    with pytest.raises(LabError, match=f"h1, group-1: .*{segment.name}"):
        log_view.verify("h1", group=None, as_json=False)
    with pytest.raises(LabError):
        log_view.verify("h1", group=None, as_json=True)
    assert segment.name in json.loads(capsys.readouterr().out)["logs"]["group-1"]["damage"]


@pytest.mark.parametrize(("node", "group"), [("h9", None), ("h1", 7)])
def test_no_such_log(log: Path, node: str, group: int | None) -> None:
    with pytest.raises(LabError, match="holds no log"):
        log_view.verify(node, group=group, as_json=False)
