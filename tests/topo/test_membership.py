"""How the commands that change members ask the leader, and what they make of its answers."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from topo.errors import LabError
from topo.lab import membership
from topo.lab.membership import Members
from topo.lab.running_lab import MAY_BE_DONE, Live, ask_node_at

Json = dict[str, Any]
ADD = {"cmd": "member_add", "member": 4}


def shown(*, votes: bool = False, changing: bool = False, change: str = "", leads: bool = True) -> Json:
    members = {"4": {"votes": votes}} if votes or changing else {}
    return {"leads": leads, "changing": changing, "change": change, "members": members, "id": 1}


@dataclass
class Told:
    """A node that leads, and says one thing after the other of the members; its last words for ever."""

    script: list[Json]
    refusal: str = ""
    asked: list[Json] = field(default_factory=list)
    topology: Any = field(default_factory=lambda: SimpleNamespace(nodes=("h1",)))

    def ask_node(self, name: str, request: Json) -> Json:
        if request["cmd"] == "members":
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.asked.append(request)
        if self.refusal:
            raise LabError(f"node {name}: {self.refusal}")
        return {"ok": True}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "STEP_S", 0.001)


def change(told: Told, patience_s: float = 30.0, **options: Any) -> Json:
    return Members(cast("Live", told), 1).change(ADD, lambda now: bool(now["members"]), patience_s, **options)


def test_the_leader_is_asked_once_and_waited_for() -> None:
    told = Told([shown(), shown(changing=True), shown(changing=True), shown(votes=True)])
    assert change(told)["members"]["4"]["votes"]
    assert told.asked == [{**ADD, "group": 1}]


def test_a_change_that_was_lost_is_asked_for_again() -> None:
    """The leader was deposed before anyone else had heard of it, and leads again."""
    told = Told([shown(), shown(changing=True), shown(), shown(changing=True), shown(votes=True)])
    assert change(told)["members"]["4"]["votes"]
    assert len(told.asked) == 2


def test_what_was_given_up_before_is_no_answer_to_what_is_asked_now() -> None:
    old = "given up: member 5 does not answer"
    told = Told([shown(change=old), shown(changing=True), shown(votes=True)])
    assert change(told)["members"]["4"]["votes"]


def test_what_is_given_up_is_told_and_not_asked_for_again() -> None:
    told = Told([shown(), shown(changing=True), shown(change="given up: member 4 does not answer")])
    with pytest.raises(LabError, match="node h1: given up: member 4 does not answer"):
        change(told)
    assert len(told.asked) == 1


def test_a_refusal_is_told_at_once() -> None:
    told = Told([shown()], "member 4 cannot take over: it has not answered for an election timeout")
    with pytest.raises(LabError, match="cannot take over"):
        change(told)
    assert len(told.asked) == 1


def test_a_leader_that_is_busy_is_asked_again_and_what_it_says_is_told_in_the_end() -> None:
    told = Told([shown()], "not now: member 2 takes over")
    with pytest.raises(LabError, match="not within 0 s: node h1: not now: member 2 takes over"):
        change(told, patience_s=0.2)
    assert len(told.asked) > 1


@pytest.mark.parametrize("asked", [False, True])
def test_without_a_leader_for_long_it_is_given_up_with_what_to_do(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "LEADERLESS_S", 0.05)
    told = Told([*([shown()] if asked else []), shown(leads=False)])
    with pytest.raises(
        LabError, match=r"had no leader for 0 s: start more of its members \(switchraft node"
    ) as error:
        change(told)
    assert len(told.asked) == asked and ("h1, which led, was asked" in str(error.value)) is asked


def test_an_election_is_waited_for() -> None:
    told = Told([shown(leads=False), shown(leads=False), shown(), shown(changing=True), shown(votes=True)])
    assert change(told)["members"]["4"]["votes"]


def test_what_each_leader_may_be_told_once_is_not_repeated() -> None:
    told = Told([shown()])
    with pytest.raises(LabError, match="not within"):
        change(told, patience_s=0.2, once=True)
    assert len(told.asked) == 1


def test_of_what_is_asked_in_vain_it_is_said_whether_it_may_still_be_done(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        for command, later in (("transfer", True), ("status", False)):
            with pytest.raises(LabError, match="h1 does not answer: timed out") as told:
                ask_node_at("h1", path, {"cmd": command}, 0.1)
            assert str(told.value).endswith(MAY_BE_DONE) is later
