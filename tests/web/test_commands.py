"""`sim --record`, `--html`, `--web`, and `view`: from the command line to what a browser gets."""

from __future__ import annotations

import base64
import gzip
import os
import re
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


HEAD = b'{"format":"switchraft recording","version":1,"title":"t","source":"s","network":{},"program":null}\n'
NOTE = b'{"t":1,"k":"note","who":"h1","text":"starts"}\n'
CUT_TEXTS = (HEAD + NOTE + b'{"t":1', HEAD + NOTE + b'{"t":1\n')


def written(file: Path, html: Path) -> tuple[int, str, str]:
    """Exit code and complaint of `view --html`, and the run in the page."""
    finished = switchraft("view", str(file), "--html", str(html))
    if not html.exists():
        return finished.returncode, finished.stderr, ""
    found = re.search(r'id="run">([^<]*)<', html.read_text(encoding="utf-8"))
    assert found
    packed = base64.b85decode(found[1].translate(str.maketrans(",.", "<&")))
    return finished.returncode, finished.stderr, gzip.decompress(packed).decode()


@pytest.mark.parametrize("text", CUT_TEXTS)
def test_of_a_recording_whose_last_line_is_cut_the_rest_is_shown(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "cut.rec"
    file.write_bytes(gzip.compress(text))
    code, told, run = written(file, tmp_path / "cut.html")
    assert (code, run) == (0, (HEAD + NOTE).decode())
    assert told == f"switchraft: {file} is cut short in line 3; what is before that is shown\n"


def test_of_a_recording_whose_run_was_killed_what_there_is_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "killed.rec"
    notes = b"".join(NOTE.replace(b"starts", os.urandom(20).hex().encode()) for _ in range(1000))
    whole = gzip.compress(HEAD + notes)
    file.write_bytes(whole[: len(whole) // 2])
    code, told, run = written(file, tmp_path / "killed.html")
    lines = run.splitlines()
    assert code == 0 and (HEAD + notes).decode().startswith(run) and 100 < len(lines) < 1000
    assert told == f"switchraft: {file} is cut short in line {len(lines) + 1}; what is before that is shown\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + b'{"t":"x","k":"nope"}\n', ", line 2: its time t is no number of microseconds"),
        (HEAD + NOTE + b'{"t":1,"k":"nope"}\n' + NOTE, ", line 3: there is no kind 'nope'"),
        (HEAD + b'{"t":1\n' + NOTE, ", line 2: no JSON"),
        (HEAD[:30], " is no recording: it does not begin as a switchraft recording does"),
        (b"", " is no recording: it does not begin as a switchraft recording does"),
    ],
)
def test_a_damaged_recording_is_named_with_its_line(text: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "damaged.rec"
    file.write_bytes(gzip.compress(text))
    assert written(file, tmp_path / "damaged.html") == (1, f"switchraft: {file}{told}\n", "")


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
