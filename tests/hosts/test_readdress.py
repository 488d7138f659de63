"""Members at other addresses than their logs say: told beside the log, until the group has committed it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hosts import config
from hosts.addresses import pack_address
from hosts.client.blocking import Client
from hosts.raft.configuration import Configuration
from hosts.raft.message import Entry, EntryKind, HardState
from hosts.raft.quorum import Membership
from hosts.storage import readdress
from hosts.storage.folder_owner import FILE as IDENTITY
from hosts.storage.log import DiskLog
from hosts.storage.moves import Move, Moves, corrected, moves_to
from hosts.storage.readdress import CannotReaddress, load_moves
from tests.hosts.conftest import DEADLINE_S, LocalCluster, eventually
from tests.recorded.test_recorded import HERE, unpack

Make = Callable[..., LocalCluster]

OLD = {member: (f"10.0.0.{member}", 26410) for member in (1, 2, 3, 4)}
NEW = {member: (f"10.9.0.{member}", 26410) for member in (1, 2, 3, 4)}


def configuration(index: int, **places: tuple[str, int]) -> Configuration:
    """Voters 1, 2 and 3 and learner 4, at their old addresses but for some: ``m2=...``."""
    found = {**OLD, **{int(name[1:]): place for name, place in places.items()}}
    packed = {member: pack_address(place) for member, place in found.items()}
    return Configuration(index, Membership(frozenset({1, 2, 3}), learners=frozenset({4})), packed)


# -- what counts ----------------------------------------------------------------------------------------------------


def test_moves_are_of_those_whose_address_differs() -> None:
    moves = moves_to(configuration(5, m3=NEW[3]), {1: NEW[1], 3: NEW[3], 4: NEW[4], 9: ("10.0.0.9", 1)})
    assert moves == Moves(5, {1: Move(OLD[1], NEW[1]), 4: Move(OLD[4], NEW[4])})
    assert not moves_to(configuration(5), OLD)
    nowhere = Configuration(5, Membership(frozenset({1})), {1: b""})
    assert not moves_to(nowhere, NEW), "what the log does not say comes from the file anyway"


def test_the_log_counts_again_once_it_is_later_and_says_something_else() -> None:
    moves = moves_to(configuration(5), NEW)
    third = ("10.7.0.2", 1)
    assert moves.wrong_in(configuration(5)) == NEW
    assert moves.wrong_in(configuration(3, m2=third)) == NEW, "an older one is as wrong"
    assert moves.wrong_in(configuration(8)) == NEW, "it may have been written before the members moved"
    assert set(moves.wrong_in(configuration(8, m2=third))) == {1, 3, 4}
    assert set(moves.wrong_in(configuration(8, m2=NEW[2]))) == {1, 3, 4}
    everybody = {f"m{member}": place for member, place in NEW.items()}
    assert not moves.is_settled(configuration(8)) and not moves.is_settled(configuration(8, m2=NEW[2]))
    assert moves.is_settled(configuration(8, **everybody))
    assert moves.is_settled(configuration(8, **{**everybody, "m2": third}))
    assert not moves.is_settled(configuration(5, **everybody)), "that is the one that was wrong"


def test_the_change_that_tells_the_group_changes_nothing_else() -> None:
    moves = moves_to(configuration(5), {2: NEW[2], 4: NEW[4]})
    assert corrected(configuration(5), moves.wrong_in(configuration(5))) == (
        {2: pack_address(NEW[2])},
        {4: pack_address(NEW[4])},
    )


def test_the_files_text() -> None:
    moves = Moves(7, {1: Move(OLD[1], NEW[1]), 4: Move(OLD[4], NEW[4])})
    assert Moves.unpack(moves.pack()) == moves
    first, second, third = moves.pack().splitlines()
    for lines, number in (
        ([], 1),
        (["configuration x"], 1),
        ([second], 1),
        ([first, second, "member 4 from 10.0.0.4:26410"], 3),
        ([first, second + " ", third], 2),
        ([first, second.replace("26410", "0"), third], 2),
        ([first, second, third.replace("10.9", "10.999")], 3),
    ):
        with pytest.raises(ValueError, match=f"line {number} does not say"):
            Moves.unpack("\n".join(lines))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    assert load_moves(tmp_path) == Moves()
    (tmp_path / readdress.FILE).write_text("configuration 1\nmember \x00\n")
    with pytest.raises(ValueError, match=f"{tmp_path}/{readdress.FILE}: line 2 .*; remove the file, and run"):
        load_moves(tmp_path)


# -- real nodes -----------------------------------------------------------------------------------------------------


class Renumbered:
    """A cluster whose members have a snapshot, and are stopped; its file can have other addresses."""

    def __init__(self, cluster: LocalCluster, *members: int) -> None:
        self.cluster = cluster
        cluster.start(*members)
        with cluster.client() as client:
            for number in range(60):
                client.append(number)
        for member in members:
            eventually(lambda member=member: (cluster.group_status(member) or {})["snapshot"], "a snapshot")
            # Until the log says who is where, that is what the cluster file says.
            known = "a configuration in the log"
            eventually(lambda member=member: (cluster.group_status(member) or {})["configuration"], known)
        cluster.kill()
        self.values = list(range(60))

    def change_file(self, old: str, new: str) -> None:
        text = self.cluster.config.read_text()
        assert old in text
        self.cluster.config.write_text(text.replace(old, new))

    def readdress(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "topo.cli", "node", "readdress", "--config", str(self.cluster.config)]
        return subprocess.run([*command, *options], capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def append(self, *places: str) -> None:
        """Through members at these addresses."""
        with Client([(place, self.cluster.port) for place in places], timeout_s=DEADLINE_S) as client:
            client.append(len(self.values))
        self.values.append(len(self.values))

    def places(self, member: int) -> dict[str, str]:
        """Where it knows everybody to be."""
        shown = self.cluster.ask(member, cmd="members")[0]["members"]
        return {one: told["address"].partition(":")[0] for one, told in shown.items()}

    def is_told(self, member: int) -> bool:
        return (self.cluster.data(member) / "group-1" / readdress.FILE).exists()


def make_renumbered(make_cluster: Make, *members: int, extra: str = "") -> Renumbered:
    return Renumbered(make_cluster(extra=f"snapshot_entries: 20\n{extra}"), *members)


def test_a_network_that_was_renumbered_with_all_nodes_stopped(make_cluster: Make) -> None:
    made = make_renumbered(make_cluster, 1, 2, 3)
    cluster, port = made.cluster, made.cluster.port
    made.change_file("127.0.0.", "127.0.1.")
    cluster.start()
    for member in cluster.members:
        for other in cluster.members:
            said = f"group 1: member {other} is at 127.0.0.{other}:{port} by the group's configuration, and at "
            said += f"127.0.1.{other}:{port} in the cluster file; the former counts. If it has moved, stop this node "
            said += "and run 'switchraft node readdress --config FILE'"
            eventually(lambda member=member, said=said: said in cluster.output(member), "both addresses are named")
    refused = made.readdress()
    assert refused.returncode == 1 and "node1 runs and uses" in refused.stderr
    assert "stop it first; nothing was changed" in refused.stderr and not any(map(made.is_told, cluster.members))
    cluster.kill()
    done = made.readdress()
    assert done.returncode == 0, done.stderr
    moved = [
        f"node{member}, group 1: member {other}: 127.0.0.{other}:{port} -> 127.0.1.{other}:{port}"
        for member in cluster.members
        for other in cluster.members
    ]
    assert done.stdout.splitlines()[:-1] == moved and done.stdout.splitlines()[-1].startswith("start the nodes")
    assert made.readdress().stdout == done.stdout, "it can be run again"
    cluster.start()
    made.append("127.0.1.1", "127.0.1.2", "127.0.1.3")
    for member in cluster.members:
        eventually(lambda member=member: not made.is_told(member), "the group has committed it")
        assert made.places(member) == {str(one): f"127.0.1.{one}" for one in cluster.members}
    assert cluster.agree(61) == made.values
    cluster.kill()
    done = made.readdress()
    assert done.stdout.splitlines() == [f"node{one}, group 1: nothing to change" for one in cluster.members]
    cluster.start()
    made.append("127.0.1.2")
    assert cluster.agree(62) == made.values
    assert "in the cluster file" not in cluster.output(1).rpartition("serves group")[2]


def test_a_renumbered_network_with_one_member_down(make_cluster: Make) -> None:
    made = make_renumbered(make_cluster, 1, 2, 3)
    cluster = made.cluster
    made.change_file("127.0.0.", "127.0.1.")
    away = cluster.folder / "away"
    cluster.data(3).rename(away)
    done = made.readdress()
    assert done.returncode == 0 and f"node3 has no data in {cluster.data(3)}" in done.stdout
    cluster.start(1, 2)
    made.append("127.0.1.1", "127.0.1.2")
    away.rename(cluster.data(3))
    cluster.start(3)
    eventually(lambda: "'switchraft node readdress --config FILE'" in cluster.output(3), "it says what to do")
    cluster.kill(3)
    assert made.readdress("--id", "3").returncode == 0
    cluster.start(3)
    assert cluster.agree(61) == made.values
    assert made.places(3) == {str(one): f"127.0.1.{one}" for one in cluster.members}
    eventually(lambda: not made.is_told(3), "it knows of the group's configuration")


def test_a_voters_wrong_address_is_put_right_while_another_is_down(make_cluster: Make) -> None:
    """The group has committed a slip. The voter holds data: one that never did would vote for nobody."""
    made = make_renumbered(make_cluster, 1, 2, 3)
    cluster, slip = made.cluster, f"127.0.9.3:{made.cluster.port}"
    cluster.start()
    cluster.agree(60)

    def leads_elsewhere() -> bool:
        leader = cluster.leader()
        if leader == 3:
            cluster.ask(leader, cmd="transfer", member=1)
        return leader != 3

    eventually(leads_elsewhere, "another member leads")
    cluster.change(lambda shown: shown["members"]["3"]["address"] == slip, cmd="member_add", member=3, address=slip)
    for member in (1, 2):
        eventually(lambda member=member: made.places(member)["3"] == "127.0.9.3", "it has the slip in its log")
    cluster.kill()
    done = made.readdress("--id", "1")
    assert done.stdout.splitlines()[0].endswith(f"member 3: {slip} -> 127.0.0.3:{cluster.port}")
    cluster.start(1, 3)
    made.append("127.0.0.1", "127.0.0.3")
    eventually(lambda: not made.is_told(1), "the group has committed it")
    cluster.start(2)
    assert cluster.agree(61) == made.values, "who was down needs no telling: the leader is where it was"
    assert made.places(2) == {str(one): f"127.0.0.{one}" for one in cluster.members}


def test_what_an_earlier_version_has_written_can_be_readdressed(make_cluster: Make) -> None:
    cluster = make_cluster(members=2, extra="cluster: 78\nsnapshot_entries: 0\nsnapshot_mib: 0")
    cluster.config.write_text(cluster.config.read_text().replace("127.0.0.", "127.0.3."))
    cluster.data(1).parent.mkdir()
    unpack(HERE / "0.1-folders.tar.xz", "plain", cluster.data(1))
    (change,) = readdress.readdress(config.load(cluster.config), [1])
    assert change.moved and change.lines[0].endswith(f"-> 127.0.3.1:{cluster.port}")
    cluster.start(1)
    folder = cluster.data(1) / "group-1"
    eventually(lambda: not (folder / readdress.FILE).exists(), "it has committed it, as the only voter")
    assert len(cluster.values(1)) == 30


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(make_cluster: Make) -> LocalCluster:
    """Three members whose logs hold a configuration, none of them running; the file has other addresses."""
    cluster = make_cluster()
    loaded = config.load(cluster.config)
    for member in cluster.members:
        folder = loaded.folder_of(member) / "group-1"
        log = DiskLog.open(folder)
        packed = {one: pack_address(place) for one, place in loaded.group(1).members.items()}
        members = Configuration(0, Membership(frozenset(cluster.members)), packed)
        log.append(HardState(1, 1), [Entry(1, 1, EntryKind.CONFIGURATION, members.pack())])
        log.close()
        (folder / IDENTITY).write_text(f"cluster 1 group 1 member {member}\n")
    cluster.config.write_text(cluster.config.read_text().replace("127.0.0.", "127.0.1."))
    return cluster


def told(cluster: LocalCluster) -> list[int]:
    return [one for one in cluster.members if (cluster.data(one) / "group-1" / readdress.FILE).exists()]


def test_an_interrupted_run_is_made_up_for_by_the_next(
    stopped: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = config.load(stopped.config)
    real, count = readdress.replace_text, 0

    def cut(path: Path, text: str) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(28, "No space left on device", str(path))
        real(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(readdress, "replace_text", cut)
        with pytest.raises(OSError, match="No space left"):
            readdress.readdress(loaded, stopped.members)
    assert told(stopped) == [1]
    readdress.readdress(loaded, stopped.members)
    assert told(stopped) == [1, 2, 3]
    moves = [load_moves(stopped.data(one) / "group-1") for one in stopped.members]
    assert moves[0] == moves[1] == moves[2] and set(moves[0].by_member) == {1, 2, 3} and moves[0].index == 1


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / IDENTITY).write_text("cluster 2 group 1 member 2\n"), "holds the log of cluster 2"),
        (lambda folder: (folder / IDENTITY).unlink(), "does not say whose log it holds"),
        (lambda folder: (folder / "synced").write_bytes(b"rot"), "neither copy of the synced mark is whole"),
    ],
    ids=["another cluster's", "nobody's", "damaged"],
)
def test_nothing_is_changed_anywhere_if_one_folder_is_wrong(
    stopped: LocalCluster, break_it: Callable[[Path], object], says: str
) -> None:
    break_it(stopped.data(2) / "group-1")
    with pytest.raises(CannotReaddress, match=says):
        readdress.readdress(config.load(stopped.config), stopped.members)
    assert told(stopped) == []
    readdress.readdress(config.load(stopped.config), [1, 3])
    assert told(stopped) == [1, 3]


def test_where_no_data_is(make_cluster: Make) -> None:
    cluster = make_cluster()
    with pytest.raises(CannotReaddress, match="no member has data here"):
        readdress.readdress(config.load(cluster.config), cluster.members)
    assert not cluster.data(1).exists()


def test_an_address_that_is_back_needs_no_telling(stopped: LocalCluster) -> None:
    readdress.readdress(config.load(stopped.config), stopped.members)
    stopped.config.write_text(stopped.config.read_text().replace("127.0.1.", "127.0.0."))
    assert not any(change.moved for change in readdress.readdress(config.load(stopped.config), stopped.members))
    assert told(stopped) == []
