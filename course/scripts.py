"""What happens in the lessons' runs, step by step. A script raises NotSo where a seed does not lead there."""

from __future__ import annotations

from controller.names import DropReason
from course import packets
from course.stage import Stage
from hosts.raft.core import Role
from hosts.raft.message import MessageType


def split_vote(stage: Stage) -> None:
    """Two of three members are up, and campaign at the same time."""
    stage.slow("h1", "h2", 12)
    stage.start("h1", "h2")
    stage.until("both are candidates", lambda: all(stage.core(one).current_term == 1 for one in ("h1", "h2")))
    votes = [stage.core(one) for one in ("h1", "h2")]
    stage.must(all(core.voted_for == core.id for core in votes), "each votes for itself")
    stage.elect(above=1)
    stage.wait(60)
    stage.start("h3")
    stage.wait(250)
    stage.must(stage.core("h3").leader != 0, "h3 follows")


def figure_8(stage: Stage) -> None:
    """Five members: an entry of an old term lies on a majority, is not committed, and is overwritten."""
    stage.start()
    first = stage.elect()
    stage.must(first == "h1", "h1 leads first")
    stage.client("c1", "h11", "h1", steer=False)
    done = stage.put("c1", "x", "before")
    stage.until("it is committed", lambda: bool(done))
    stage.wait(150)
    old = stage.core("h1").last_index
    stage.note("h1 and h2 are parted from the rest")
    stage.part(("h1", "h2", "h11"), ("h3", "h4", "h5"))
    stage.put("c1", "x", "first")
    stage.until("h2 has it", lambda: stage.core("h2").last_index > old)
    stage.wait(5)
    stage.note("h1 is killed")
    stage.kill("h1")
    term = stage.core("h2").current_term
    for one in ("h4", "h5"):
        stage.slow("h3", one, 5)
    stage.until("h3 is a candidate", lambda: stage.core("h3").role is Role.CANDIDATE, 2000)
    stage.wait(2)
    stage.note("what h3 sends from now on is lost")
    stage.mute("h3")
    second = stage.elect(above=term)
    stage.must(second == "h3", "h3 leads then")
    stage.until("it is on h3's disk", lambda: stage.core("h3").durable_index > old, 5)
    stage.wait(2)
    stage.note("h3 is killed")
    stage.kill("h3")
    stage.wait(5)
    stage.must(all(stage.core(one).last_index == old for one in ("h4", "h5")), "nobody has h3's entry")
    stage.note("all reach each other again but for the client, and h1 is back")
    stage.join()
    stage.part(("h11",), ("h1", "h2", "h4", "h5", "h3"))
    for one in ("h2", "h4", "h5"):
        stage.slow("h1", one, 10)
    stage.start("h1")
    third = stage.elect(above=stage.core("h2").current_term)
    stage.must(third == "h1", "h1 leads once more")
    index = old + 1
    stage.until("h4 has it", lambda: stage.core("h4").log.term_at(index) == term, 200)
    stage.wait(1)
    held = [one for one in ("h1", "h2", "h4", "h5") if stage.core(one).log.term_at(index) == term]
    stage.must(len(held) >= 3, "a majority holds it")
    stage.must(all(stage.core(one).commit_index <= old for one in ("h1", "h2", "h4", "h5")), "it is not committed")
    stage.note("h1 is killed once more, and h3 is back")
    term = stage.core("h1").current_term
    stage.kill("h1")
    stage.start("h3")
    fourth = stage.elect(above=term)
    stage.must(fourth == "h3", "h3 leads at the end")
    stage.until("it is overwritten", lambda: stage.core("h4").commit_index > index)
    stage.wait(50)


def stale_leader(stage: Stage) -> None:
    """A leader that was cut off comes back, and does not know that there is a new one."""
    stage.network_up()
    stage.start()
    first = stage.elect()
    stage.must(first == "h1", "h1 leads first")
    stage.client("c1", "h11", "h1", steer=False)
    done = stage.put("c1", "color", "red")
    stage.until("it is done", lambda: bool(done))
    stage.wait(300)
    stage.note("the links of s1 are cut")
    stage.cut_links("s1")
    second = stage.elect(above=stage.core("h1").current_term)
    stage.must(stage.leads("h1"), "h1 believes that it leads")
    stage.wait(1)
    stage.must(stage.leads("h1"), "h1 believes that it leads")
    stage.note("the links of s1 work again, and a client asks h1")
    stage.mend_links()
    stage.put("c1", "color", "green")
    stage.wait(3)
    stage.must(stage.dropped(DropReason.STALE_TERM) > 0, "a switch has dropped what h1 says")
    stage.until("h1 follows", lambda: stage.core("h1").current_term == stage.core(second).current_term, 400)
    stage.until("h1's entry is gone", lambda: stage.core("h1").log.term_at(4) != 1, 400)
    stage.wait(100)


def steered(stage: Stage) -> None:
    """A client asks a member that does not lead, before and after the leader has changed."""
    stage.network_up()
    stage.start()
    first = stage.elect()
    stage.must(first == "h1", "h1 leads first")
    stage.wait(300)
    stage.client("c1", "h11", "h3")
    one = stage.put("c1", "color", "red")
    stage.until("it is done", lambda: bool(one))
    stage.wait(100)
    stage.note("h1 is killed")
    term = stage.core("h1").current_term
    stage.kill("h1")
    stage.wait(50)
    two = stage.put("c1", "color", "green")
    second = stage.elect(above=term)
    stage.must(second == "h2", "h2 leads then")
    stage.until("it is done", lambda: bool(two))
    stage.wait(100)
    stage.client("c2", "h11", "h3")
    three = stage.put("c2", "color", "blue")
    stage.until("it is done", lambda: bool(three))
    stage.wait(50)


def joint_change(stage: Stage) -> None:
    """Two of five members leave in one change."""
    stage.start()
    first = stage.elect()
    stage.must(first == "h1", "h1 leads first")
    stage.wait(200)
    before = stage.core("h1").configuration.index
    stage.note("an operator asks h1 to remove h4 and h5")
    stage.ask("h1", lambda core: core.change_membership(remove=[4, 5]))
    stage.until("it is joint", lambda: bool(stage.core("h1").membership.outgoing))
    stage.until("it is done", lambda: not stage.core("h1").membership.outgoing)
    stage.until("it is committed", lambda: stage.core("h1").committed_configuration.index > before + 1)
    stage.wait(100)
    stage.note("h4 and h5 are killed")
    stage.kill("h4")
    stage.kill("h5")
    stage.note("h3 is killed: of three voters two are left")
    stage.kill("h3")
    stage.client("c1", "h11", "h1", steer=False)
    done = stage.put("c1", "x", "two of three")
    stage.until("it is committed", lambda: bool(done))
    stage.wait(50)


def stranger(stage: Stage) -> None:
    """A client's host speaks as a member."""
    stage.network_up()
    stage.start()
    first = stage.elect()
    stage.must(first == "h1", "h1 leads first")
    stage.wait(300)
    term = stage.core("h1").current_term
    stage.note("a stranger on h11 asks h2 for its vote, as member 3, in a term far ahead")
    stage.raw("h11", packets.peer(MessageType.REQUEST_VOTE, 3, 2, term + 1000, ip=packets.CLIENT))
    stage.wait(20)
    stage.note("it borrows the address of h3, too")
    stage.raw("h11", packets.peer(MessageType.REQUEST_VOTE, 3, 2, term + 1000))
    stage.wait(20)
    stage.note("it says that it is the leader, in a term far ahead")
    stage.raw("h11", packets.peer(MessageType.APPEND_ENTRIES, 1, 2, term + 1000))
    stage.wait(200)
    stage.client("c1", "h11", "h1")
    done = stage.put("c1", "color", "red")
    stage.until("it is done", lambda: bool(done))
    stage.wait(50)
