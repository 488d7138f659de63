"""A few hundred cases of the long fuzz (`make fuzz`), the same ones each time, and that it would notice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.fuzz import cases, compiler, files, loader
from conformance.fuzz.__main__ import Campaign
from conformance.fuzz.cases import Corpus, Fault, Found, run_cases
from hosts.config import ConfigError


def test_mutated_sources_are_compiled_or_refused_in_words(tmp_path: Path) -> None:
    make, chance = compiler.Mutator(Corpus(tmp_path, ".p4")).make, random.Random(1)
    shown = [compiler.compile_case(make(chance)) for _ in range(60)]
    assert len(set(shown)) > 15
    assert any(one.startswith("compiled") for one in shown)


def test_mutated_json_is_loaded_or_refused_in_words(tmp_path: Path) -> None:
    make, chance = loader.Mutator(Corpus(tmp_path, ".json")).make, random.Random(1)
    shown = [loader.load_case(make(chance), tmp_path, at % 60 == 0) for at in range(240)]
    assert len(set(shown)) > 15
    assert "accepted" in shown and "built" in shown


def test_mutated_files_are_taken_or_refused_in_one_line(tmp_path: Path) -> None:
    make, chance = files.Mutator(Corpus(tmp_path, ".txt")).make, random.Random(1)
    shown = [files.read_case(make(chance), tmp_path) for _ in range(500)]
    assert len(set(shown)) > 100
    assert {f"{kind} taken" for kind in files.KINDS} <= set(shown)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("{path}: groups: bad\nvery bad", "not one line"),
        ("groups: bad", "not one line that begins with the file"),
        ("{path}:9: groups: bad", "no such line"),
        ("{path}:1: bad", "names no field"),
        ("{path}:1: groups: " + "bad" * 1000, "an error of 3"),
    ],
)
def test_unclear_refusals_are_faults(told: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path) -> None:
        raise ConfigError(told.format(path=path))

    monkeypatch.setattr("hosts.config.load", load)
    with pytest.raises(Fault, match=why):
        files.read_case("cluster\ngroups: 1\n", tmp_path)


def test_a_topology_of_which_nothing_can_be_made_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (given,) = [text for kind, text in files.sources() if kind == "topology" and "two groups" in text.lower()][:1]
    assert files.read_case(f"topology\n{given}", tmp_path) == "topology taken"
    monkeypatch.setattr("topo.topology._check_ids", lambda *_: None)
    with pytest.raises(Fault, match="a topology was taken of which the lab makes a file that is not"):
        files.read_case("topology\n" + given.replace("{1: h4, 2: h2, 3: h6}", "{1: h1, 2: h2, 3: h6}"), tmp_path)


def explode(text: str) -> str:
    raise ZeroDivisionError(text)


def hang(text: str) -> str:
    time.sleep(30)
    return text


def refuse(text: str) -> str:
    raise Fault("this must not be")


@pytest.mark.parametrize(
    ("case", "title"), [(explode, "ZeroDivisionError: x"), (hang, "Hang: no end after 1 s"), (refuse, "Fault: this")]
)
def test_what_a_case_must_not_do_is_noticed(
    case: Callable[[str], str], title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "CASE_LIMIT_S", 1)
    monkeypatch.setattr(cases, "MEMORY_LIMIT", -1)
    found = run_cases(1, 0.01, Corpus(tmp_path, ".txt"), lambda chance: "x", case)
    assert found.cases and found.faults[0][0].startswith(title)
    assert found.faults[0][1] == "x"


def test_what_showed_something_new_is_kept(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path, ".txt")
    for what, text in (("a", "one"), ("a", "two"), ("b", "three")):
        corpus.learn(what, text)
    assert sorted(Corpus(tmp_path, ".txt").texts) == ["one", "three"]
    Corpus(tmp_path, ".txt").learn("b", "four")
    assert len(Corpus(tmp_path, ".txt").texts) == 2


def test_a_stopped_campaign_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[tuple[str, int]] = []

    def turn(part: str, seed: int, seconds: float, folder: Path) -> Found:
        turns.append((part, seed))
        if len(turns) == 3:
            raise KeyboardInterrupt
        return Found(10, [("broken", "input")] if len(turns) == 2 else [])

    monkeypatch.setattr("conformance.fuzz.__main__.turn", turn)
    monkeypatch.setattr("conformance.fuzz.__main__.time.monotonic", iter(range(0, 10_000, 20)).__next__)
    with pytest.raises(KeyboardInterrupt):
        Campaign(tmp_path, False).run(["compiler", "loader"], 2)
    assert [file.read_text() for file in (tmp_path / "faults").iterdir()] == ["input\n"]
    again = Campaign(tmp_path, False)
    assert again.run(["compiler", "loader"], 2) == 0
    assert again.state["compiler"]["seconds"] >= 60 <= again.state["loader"]["seconds"]
    assert len(set(turns)) == len(turns) - 1, "only the turn that was broken off is done again"
