"""The lab's record on disk: written so that it survives, and told in words where it is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked
from topo import paths
from topo.lab import record, traces
from topo.lab.process import TOKEN_VARIABLE, Process
from topo.lab.record import DamagedRecord, Record, Running

DAMAGED = {
    "": "the file is empty",
    "\0" * 4096: "the file is empty",
    "{}": "token: this field is missing",
    "[]": "expected fields and their values, found a list",
    "null": "expected fields and their values, found nothing",
    '{"token": "ab", "boot": "c': "not JSON: Unterminated string",
    '{"token": "ab", "boot": "c", "lab": {"pid": "one", "started": 1}, "topology": "t", "switch": "s"}': "lab.pid: ",
    '{"token": "ab", "boot": "c", "lab": 7, "topology": "t", "switch": "s"}': "lab: ",
    "\ufffd\ufffd": "not JSON",
}


@pytest.fixture(autouse=True)
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHRAFT_BUILD", str(tmp_path))
    paths.make(paths.lab())
    return tmp_path


def test_what_is_written_is_read_again() -> None:
    assert record.load() is None
    own = Process.of(os.getpid())
    assert own is not None
    node = Running("h1", "node", 7, 8, "running", "/x/h1.log")
    written = Record("token", record.boot_id(), own, "triangle", "embedded", "serving", {"s1-eth1": 3}, {"h1": own})
    for one in (written, Record("token", "", own, "triangle", "bmv2", processes=(node, node))):
        one.write()
        assert record.load() == one
    assert [path.name for path in paths.lab().iterdir()] == ["lab.json"], "no draft is left"


@pytest.mark.parametrize(("text", "told"), DAMAGED.items())
def test_damage_is_told_in_words(text: str, told: str) -> None:
    paths.record().write_text(text)
    with pytest.raises(DamagedRecord) as found:
        record.load()
    (line,) = str(found.value).splitlines()
    assert told in line and "lab.json" in line and line.endswith("with: switchraft stop")


@pytest.mark.root
@pytest.mark.parametrize("text", DAMAGED)
def test_stop_removes_a_damaged_record(build: Path, text: str) -> None:
    paths.record().write_text(text)
    shown = forked.run("topo.cli", "status", SWITCHRAFT_BUILD=str(build))
    assert shown.returncode == 1 and len(shown.stderr.splitlines()) == 1 and "switchraft stop" in shown.stderr
    done = forked.run("topo.cli", "stop", SWITCHRAFT_BUILD=str(build))
    assert (done.returncode, done.stderr) == (0, "")
    assert "the record of the lab was damaged (" in done.stdout and "is removed, and so is the record" in done.stdout
    assert not paths.record().exists()
    again = forked.run("topo.cli", "stop", SWITCHRAFT_BUILD=str(build))
    assert (again.returncode, again.stdout.strip()) == (0, "no lab runs")


@pytest.mark.root
def test_processes_of_this_folders_lab_are_known_by_their_environment(build: Path) -> None:
    """Another folder's are left alone, and so is who only asks the lab's cluster."""
    sleepers = []
    for more in (
        {TOKEN_VARIABLE: "ours", "SWITCHRAFT_CLUSTER": str(paths.cluster())},
        {TOKEN_VARIABLE: "theirs", "SWITCHRAFT_CLUSTER": str(build / "other" / "cluster.yaml")},
        {"SWITCHRAFT_CLUSTER": str(paths.cluster())},
        {TOKEN_VARIABLE: "hers"},
    ):
        sleepers.append(subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"], **more}))
    script = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        " print(flush=True); time.sleep(300)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(paths.lock())], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None and owner.stdout.readline() == b"\n"
        with paths.lock().open():
            assert {process.pid for process in traces.owners()} == {owner.pid}
        assert traces.remove() == []
        assert owner.wait(10) != 0 and sleepers[0].wait(10) != 0
        assert [one.poll() for one in sleepers[1:]] == [None] * 3
    finally:
        for process in (owner, *sleepers):
            process.kill()
            process.wait()
