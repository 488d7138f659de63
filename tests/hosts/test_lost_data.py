"""Nodes whose data is lost, in part or altogether, and what the others say of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from hosts.client.blocking import ClientError
from tests.hosts.conftest import PATIENT, LocalCluster, eventually


def problems(made: LocalCluster, member: int) -> str:
    """What a member's status says is wrong."""
    status = made.group_status(member)
    return " ".join(status["problems"]) if status is not None else ""


def names(made: LocalCluster, member: int, lost: int) -> bool:
    """Whether a member says that another has lost its data, and how to mend that, in its status and in its log."""
    told = f"member {lost} (node{lost})"
    mending = f"switchraft member remove node{lost}; end its node, delete its data folder, start it again with --join"
    return told in problems(made, member) and mending in problems(made, member) and told in made.output(member)


def mend(made: LocalCluster, lost: int) -> None:
    """As the leader says."""
    made.change(lambda shown: str(lost) not in shown["members"], cmd="member_remove", member=lost)
    made.kill(lost)
    shutil.rmtree(made.data(lost))
    made.start(lost, options=("--join",))
    address = f"127.0.0.{lost}"
    made.change(
        lambda shown: shown["members"].get(str(lost), {}).get("votes"), cmd="member_add", member=lost, address=address
    )


def test_a_deleted_folder_is_found_out_and_mended(make_cluster: Callable[..., LocalCluster]) -> None:
    made = make_cluster()
    made.start()
    with made.client() as client:
        for value in range(50):
            client.append(value)
        leader = made.leader()
        lost, third = leader % 3 + 1, (leader + 1) % 3 + 1
        made.kill(lost)
        shutil.rmtree(made.data(lost))
        made.start(lost)
        eventually(lambda: names(made, leader, lost), "the leader names it")
        status = made.group_status(leader)
        assert status is not None
        shown = status["progress"][str(lost)]
        assert status["role"] == "leader" and shown["match_index"] == 0 and not shown["counts"]
        assert "another log" in made.ask(leader, cmd="members")[0]["members"][str(lost)]["lost"]
        client.append("two are enough")
        made.kill(third)
        with made.client(timeout_s=2) as hasty, pytest.raises(ClientError):
            hasty.append("one is not")
        assert names(made, leader, lost), "it says why nothing commits"
        eventually(lambda: "votes for nobody" in problems(made, lost), "so does the member itself")
        made.start(third)
        client.append("two again")
        found = made.leader()
        eventually(lambda: names(made, found, lost), "whoever leads now names it")
        mend(made, lost)
        assert made.agree(52)[:50] == list(range(50))
        assert not problems(made, made.leader())
        made.kill(third)
        client.append("it counts again")


def test_an_older_copy_of_a_folder_is_found_out(make_cluster: Callable[..., LocalCluster]) -> None:
    """By the leader to whom the member had acknowledged more."""
    made = make_cluster(extra=PATIENT)
    made.start()
    with made.client() as client:
        client.append("early")
        leader = made.leader()
        lost = leader % 3 + 1
        made.agree(1)
        made.kill(lost)
        shutil.copytree(made.data(lost), made.folder / "copy", ignore=shutil.ignore_patterns("*.sock"))
        made.start(lost)
        for value in range(20):
            client.append(value)

        def acknowledged() -> bool:
            status = made.group_status(leader)
            return status is not None and status["progress"][str(lost)]["match_index"] == status["last_index"]

        eventually(acknowledged, "it has acknowledged all of them")
        made.kill(lost)
        shutil.rmtree(made.data(lost))
        (made.folder / "copy").rename(made.data(lost))
        made.start(lost)
        eventually(lambda: "rejects what it had acknowledged" in problems(made, leader), "the leader names it")
        assert names(made, leader, lost)
        mend(made, lost)
        assert made.agree(21) == ["early", *range(20)]
