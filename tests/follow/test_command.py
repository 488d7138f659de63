"""Where no lab runs, `switchraft follow` says how to start one; and what it never does is refused before that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import forked


@pytest.mark.parametrize("words", [["put", "a", "1"], ["get", "a"], ["--wait", "type=AppendEntries"]])
def test_without_a_lab_it_says_how_to_start_one(words: list[str], tmp_path: Path) -> None:
    done = forked.run("topo.cli", "follow", *words, SWITCHRAFT_BUILD=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "switchraft: no lab runs; start one with: switchraft lab\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a request"),
        (["dance"], "no client asks 'dance'"),
        (["put", "a"], "put takes KEY VALUE: 2 words, not 1"),
        (["get", "a", "b"], "get takes KEY: 1 word, not 2"),
        (["get", "a", "--timeout", "nan"], "--timeout nan: choose seconds from 0 to 1000000"),
        (["--wait", "from=h1", "--timeout", "-1"], "--timeout -1: choose seconds from 0 to 1000000"),
        (["get", "a", "--wait", "from=h1"], "name a request"),
        (["get", "a", "--brief", "--full"], "--brief and --full exclude each other"),
        (["get", "a", "--count", "2"], "--count goes with --wait"),
        (["--wait", "from=h1", "--to", "h2"], "words of the filter"),
        (["--wait", "from=h1", "--count", "1001"], "--count 1001"),
        (["get", "a", "--record", "/"], "--record /: this is a folder"),
        (["--wait", "from=h1", "--record", "nowhere/a.rec"], "there is no folder nowhere"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], says: str, tmp_path: Path) -> None:
    done = forked.run("topo.cli", "follow", *words, SWITCHRAFT_BUILD=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and "Traceback" not in done.stderr


def test_help_names_the_words_of_a_filter(tmp_path: Path) -> None:
    done = forked.run("topo.cli", "follow", "--help", SWITCHRAFT_BUILD=str(tmp_path))
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("--wait", "--record", "type, from, to, host, flag, drop"))
