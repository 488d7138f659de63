"""The verdict on a soak's history: each thing that can be wrong is found, from the file as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from topo.errors import LabError
from topo.soak.history import Call, Fault, History, read, recording
from topo.soak.verdict import judge

SECOND = 1_000_000_000


def call(kind: str, second: float, key: str | None = None, argument: object = None, result: object = None) -> Call:
    """An answered call that takes a tenth of a second."""
    began = int(second * SECOND)
    over = began + SECOND // 10
    return Call("c", kind, key, argument, began, over, over, result, "h2", 1)


def history() -> History:
    """Nothing is wrong with this one."""
    return History(
        {"seed": 1},
        [
            call("append", 1, argument="a", result=0),
            call("put", 2, "k", "x", False),
            call("get", 3, "k", None, [True, "x"]),
            replace(call("append", 4, argument="open"), ended=None, result=None, error="no answer"),
            call("append", 5, argument="b", result=2),
            call("read_list", 6, None, [0, 10], [3, ["a", "open", "b"]]),
        ],
        [Fault("kill h1", 1 * SECOND // 2, 4 * SECOND, 4 * SECOND + SECOND // 2)],
        {"h1": ["a", "open", "b"], "h2": ["a", "open", "b"]},
    )


def test_a_good_history() -> None:
    verdict = judge(history())
    assert verdict.problems == []
    told = "\n".join(verdict.facts)
    assert "5 operations answered, 1 not; 67% overlap one of 1 faults" in told
    assert "40% reads: asked 2 through h2; answered 2 by member 1" in told
    assert "linearizable: 1 keys and the list" in told
    assert "2 appends were acknowledged, all of them are on h1, h2" in told
    assert "longest 0.60 s (kill h1)" in told


def problems(changed: History) -> str:
    return "\n".join(judge(changed).problems)


def test_a_stale_read() -> None:
    spoiled = history()
    spoiled.calls[2] = replace(spoiled.calls[2], result=[False, None])
    assert "not linearizable: key 'k'" in problems(spoiled)


def test_a_lost_append() -> None:
    spoiled = history()
    spoiled.lists = {name: ["a", "open"] for name in spoiled.lists}
    assert "acknowledged and lost: c: append  'b' -> 2" in problems(spoiled)


def test_a_value_that_stands_twice_and_one_from_nowhere() -> None:
    spoiled = history()
    spoiled.lists = {name: ["a", "open", "b", "a", "z"] for name in spoiled.lists}
    assert "'a' stands in the list more than once" in problems(spoiled)
    assert "'z' is in the list, and nobody appended it" in problems(spoiled)


def test_nodes_that_differ() -> None:
    spoiled = history()
    spoiled.lists["h2"] = ["a", "open"]
    assert "h2 and h1 have not applied the same list" in problems(spoiled)
    spoiled.lists = {}
    assert "does not say what the nodes have applied" in problems(spoiled)


@pytest.mark.parametrize(("second", "told"), [(8.0, "the first was after 3.6 s"), (None, "none was")])
def test_a_heal_after_which_nobody_serves(second: float | None, told: str) -> None:
    spoiled = history()
    spoiled.calls.pop(4)
    spoiled.calls[4] = replace(spoiled.calls[4], result=[2, ["a", "open"]])
    spoiled.lists = {name: ["a", "open"] for name in spoiled.lists}
    if second is not None:
        spoiled.calls.append(call("put", second, "k", "y", True))
    assert problems(spoiled) == f"kill h1: no write was acknowledged within 3 s; {told}"


def test_a_soak_that_did_not_try_hard() -> None:
    lazy = history()
    lazy.faults = []
    assert "only 0% of the operations overlap a fault" in problems(lazy)
    lazy.about["kills"] = 200
    assert problems(lazy) == ""
    lazy = history()
    lazy.about["least_answered"] = 100
    assert "only 5 operations were answered, 100 are wanted" in problems(lazy)


def test_a_write_that_began_before_the_heal_says_nothing_of_it() -> None:
    spoiled = history()
    late = spoiled.calls[4]
    spoiled.calls[4] = replace(late, began=4 * SECOND)
    assert "no write was acknowledged within 3 s; none was" in problems(spoiled)


def test_the_file_gives_the_same(tmp_path: Path) -> None:
    written = history()
    with recording(tmp_path / "h.jsonl") as recorder:
        recorder.about(written.about)
        for one in written.calls:
            recorder.call(one)
        for fault in written.faults:
            recorder.fault(fault)
        for name, values in written.lists.items():
            recorder.list_of(name, values)
    assert recorder.answered == 5
    assert read(tmp_path / "h.jsonl") == written


@pytest.mark.parametrize("line", ["{", '{"call": {"x": 1}}', "[]", '{"list": []}', "{}"])
def test_a_file_that_is_no_history(tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(f'{{"about": {{}}}}\n{line}\n')
    with pytest.raises(LabError, match=r"bad\.jsonl, line 2"):
        read(file)
    with pytest.raises(LabError, match="cannot read"):
        read(tmp_path / "none")
