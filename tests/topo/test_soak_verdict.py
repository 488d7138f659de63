"""The verdict on a soak's history: each thing that can be wrong is found, from the file as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from controller.network import FEATURES
from topo.errors import LabError, UsageError
from topo.soak.faults import KINDS, NEED_OTHERS, Deck, Scene
from topo.soak.history import Call, Fault, History, Size, Switched, read, recording
from topo.soak.resizing import check_sizes, parse_sizes
from topo.soak.verdict import judge, longest_stall
from topo.topology import find

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


def test_sizes_on_the_command_line() -> None:
    assert parse_sizes("1,3,1") == (1, 3, 1)
    for wrong in ("", "1,,3", "x", "1.5", "1;3"):
        with pytest.raises(UsageError, match="write it as in 1,3,1"):
            parse_sizes(wrong)
    with pytest.raises(UsageError, match="at least 1 member, not 0"):
        parse_sizes("3,0")
    triangle = find("triangle")
    check_sizes((1, 5), triangle)
    with pytest.raises(UsageError, match="6 members need as many hosts, and topology triangle has 5"):
        check_sizes((1, 6), triangle)


def test_what_can_befall_a_lone_member() -> None:
    deck = Deck(KINDS, Random(1))
    drawn = {deck.draw(1) for _ in range(100)}
    assert drawn == set(KINDS) - NEED_OTHERS
    switch_of = {"h1": "s1"}
    alone = Scene(Random(1), "h1", (), ("h11", "h22"), ("s1",), (("s1", "s2"),), switch_of)
    for kind in drawn:
        plan = kind(alone)
        assert plan.nodes <= {"h1"} and plan.breaking and plan.mending


def test_a_good_history() -> None:
    verdict = judge(history())
    assert verdict.problems == []
    told = "\n".join(verdict.facts)
    assert "5 operations answered, 1 not; 67% overlap one of 1 faults" in told
    assert "40% reads: asked 2 through h2; answered 2 by member 1" in told
    assert "linearizable: 1 keys and the list" in told
    assert "2 appends were acknowledged, all of them are on h1, h2" in told
    assert "after each of 1 heals a write was acknowledged: median 0.60 s, longest 0.60 s (kill h1)" in told
    assert "after each of 1 heals a read was answered: median 1.60 s, longest 1.60 s (kill h1)" in told


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


def test_a_heal_after_which_writes_are_served_and_no_reads() -> None:
    """Reads of a leader that waits for nobody's answer in vain, say."""
    spoiled = history()
    spoiled.calls[5] = replace(spoiled.calls[5], ended=None, result=None, error="no answer")
    assert "kill h1: no read was answered within 3 s; none was" in problems(spoiled)
    spoiled.calls.append(replace(call("get", 6, "k", None, [True, "x"]), client="end"))
    assert "none was" in problems(spoiled), "what is read when all is over is no sign of it"


def test_an_end_that_could_not_be_read() -> None:
    spoiled = history()
    spoiled.calls.append(replace(call("get", 9, "k"), client="end", ended=None, error="no answer within 30 s"))
    assert "not answered in the end: get k: no answer within 30 s" in problems(spoiled)


def test_the_sizes_that_the_group_had() -> None:
    grown = history()
    grown.about["sizes"] = [1, 3, 1]
    grown.sizes = [Size(1, ("h1",), 1, 2), Size(3, ("h1", "h2", "h11"), 2, 3), Size(1, ("h2",), 3, 4)]
    verdict = judge(grown)
    assert verdict.problems == []
    assert "the group was brought to 3 sizes, one after the other: 1 2 times, 3 1 times" in verdict.facts
    del grown.sizes[1]
    assert problems(grown) == "the group never had a size of 3"
    assert judge(grown, timed=False).problems == [], "a slow machine does not come so far"
    grown.sizes = []
    assert judge(grown, timed=False).problems == ["the group never had a size of 1, 3"]


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
    written.sizes = [Size(2, ("h1", "h22"), 1, 2)]
    with recording(tmp_path / "h.jsonl") as recorder:
        recorder.about(written.about)
        for one in written.calls:
            recorder.call(one)
        for fault in written.faults:
            recorder.fault(fault)
        for size in written.sizes:
            recorder.size(size)
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


def with_features(times: int) -> History:
    """A good history with that many switchings of each feature."""
    good = history()
    good.about["features"] = 2
    good.features = [
        Switched(name, on, "", SECOND * number)
        for number in range(times)
        for name in FEATURES
        for on in (False, True)
    ]
    return good


def test_features_have_come_and_gone() -> None:
    told = judge(with_features(2))
    assert told.problems == []
    assert f"{len(FEATURES)} features were taken away and put back, each 2 times" in told.facts
    assert judge(with_features(1)).problems == [
        f"fewer than 2 times taken away and put back: {', '.join(sorted(FEATURES))}"
    ]
    one_less = with_features(2)
    one_less.features.remove(next(one for one in one_less.features if one.feature == "term_filter" and one.on))
    assert judge(one_less).problems == ["fewer than 2 times taken away and put back: term_filter"]


def test_a_stall_counts_where_nothing_is_broken() -> None:
    """The fault is over at 4.5 s; writes are acknowledged at 5.1 s, and then at these moments."""
    stalling = with_features(2)
    assert longest_stall(stalling) == 0
    stalling.calls += [call("put", 5.5, "k", "y", True), call("put", 8, "k", "z", True)]
    assert longest_stall(stalling) == 25 * SECOND // 10
    told = "no write was acknowledged for 2.5 s while nothing was broken"
    assert told in judge(stalling).problems and told not in judge(stalling, timed=False).problems
    assert longest_stall(replace(stalling, faults=[])) == 3 * SECOND, "from 2.1 s to 5.1 s"
    assert longest_stall(History()) == 0
    stalling.faults.append(Fault("kill h2", 6 * SECOND, 7 * SECOND, 7 * SECOND))
    assert longest_stall(stalling) == 5 * SECOND // 10, "from 5.6 s to 6.1 s one was awaited, 0.4 s until the fault"


def test_switchings_are_read_from_the_file(tmp_path: Path) -> None:
    with recording(tmp_path / "soak.jsonl") as recorder:
        recorder.switched(Switched("term_filter", False, "s1", 7))
    assert read(tmp_path / "soak.jsonl").features == [Switched("term_filter", False, "s1", 7)]
