"""`sim --record`, `--html`, `--web`, and `view`: from the command line to what a browser gets."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from web.recording import Writer, read

REPOSITORY = Path(__file__).parents[2]
SWITCHRAFT = [sys.executable, "-c", "from topo.cli import main; main()"]
HEADER = {"title": "a run", "source": "simulator", "network": {}, "program": None}


def switchraft(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SWITCHRAFT, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    file = tmp_path / "run.rec"
    with Writer(file, HEADER) as writer:
        writer.write({"t": 0, "k": "note", "who": "h1", "text": "starts"})
    return file


def test_a_seed_is_recorded_and_written_as_a_page(tmp_path: Path) -> None:
    file, html = tmp_path / "run.rec", tmp_path / "run.html"
    finished = switchraft("sim", "--replay", "5", "--record", str(file), "--html", str(html))
    assert finished.returncode == 0, finished.stderr
    found = read(file)
    assert found.header["seed"] == 5
    assert found.events[-1]["hash"] in finished.stdout
    assert '<script type="application/gzip" id="run">' in html.read_text(encoding="utf-8")


def test_a_recording_is_written_as_a_page(recorded: Path, tmp_path: Path) -> None:
    html = tmp_path / "run.html"
    finished = switchraft("view", str(recorded), "--html", str(html))
    assert finished.returncode == 0, finished.stderr
    assert str(html) in finished.stdout and html.stat().st_size > 50_000


def test_a_page_that_finds_no_room_is_named(recorded: Path) -> None:
    finished = switchraft("view", str(recorded), "--html", "/dev/full")
    assert (finished.returncode, finished.stderr) == (1, "switchraft: /dev/full: No space left on device\n")


def test_a_recording_that_finds_no_room_is_named() -> None:
    finished = switchraft("sim", "--replay", "5", "--record", "/dev/full")
    (line,) = finished.stderr.splitlines()
    assert finished.returncode == 1
    assert line == "switchraft: /dev/full: No space left on device: make room there, or choose another place"


def test_view_serves_the_page_and_the_recording_on_loopback(recorded: Path) -> None:
    process = subprocess.Popen(
        [*SWITCHRAFT, "view", str(recorded)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}") as page:
            assert b'<script type="module" src="main.js">' in page.read()
        with urllib.request.urlopen(f"{address}run.rec") as run:
            assert run.headers["Content-Encoding"] is None
            assert gzip.decompress(run.read()) == gzip.decompress(recorded.read_bytes())
        for missing in ("nothing.js", "../recording.py", "%2e%2e/recording.py", "index.html"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{address}{missing}")
            assert refused.value.code == 404
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["view", "/no/such/file"], "No such file", 1),
        (["view", __file__], "no recording", 1),
        (["sim", "--record", "x.rec"], "--replay SEED", 2),
        (["sim", "--web"], "--replay SEED", 2),
        (["sim", "--replay", "5", "--record", "/no/such/folder/x.rec"], "No such file", 1),
    ],
)
def test_mistakes_end_in_a_line(words: list[str], said: str, code: int) -> None:
    finished = switchraft(*words)
    assert finished.returncode == code
    assert said in finished.stderr and len(finished.stderr.splitlines()) == 1
    assert "Traceback" not in finished.stderr
