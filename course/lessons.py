"""The lessons: a run each, and a text that leads through it. What a text says of the run is looked up in the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from course import scripts
from course.stage import Stage
from course.telling import (
    Find,
    Holds,
    all_of,
    dropped,
    happens,
    hit,
    holds,
    lacks,
    led_by,
    log,
    member,
    message,
    of,
    role,
    uncommitted,
)
from hosts.raft.message import MessageType
from hosts.wire import Flag
from topo.errors import UsageError

ASKS = MessageType.APPEND_ENTRIES
_REQUEST = MessageType.CLIENT_REQUEST
_TO_H1, _TO_H2 = 0x0A000101, 0x0A000202
_PORT = 26410


@dataclass(frozen=True, slots=True)
class Step:
    """A moment of a run. ``says`` is what ``find`` finds, the first after the step before; each of ``also`` is so at
    that moment. ``why`` says nothing of the run. ``see``: what the page opens, as in its links."""

    says: str
    find: Find
    also: tuple[tuple[str, Holds], ...] = ()
    why: str = ""
    see: str = ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A run and its text. ``seed``: the first that leads to what the text shows; ``script`` rejects others."""

    name: str
    title: str
    about: str
    topology: str
    switches: bool
    script: Callable[[Stage], None]
    seed: int
    steps: tuple[Step, ...]
    slow_clock: int = 0
    one_at_a_time: bool = False


def find(name: str) -> Lesson:
    """Raises UsageError."""
    for one in LESSONS:
        if one.name == name:
            return one
    raise UsageError(f"there is no lesson {name}: there are {', '.join(one.name for one in LESSONS)}")


_ELECTION = Lesson(
    "election",
    "An election, and a split vote",
    "Two of three members start. The third is still down, so a candidate needs both votes. What they send each "
    "other is "
    "12 ms on its way, so both ask before either hears of the other.",
    "triangle",
    False,
    scripts.split_vote,
    9,
    (
        Step(
            "h1 starts as a follower.",
            member("h1", up=True, role="follower"),
            (("Its term is 0, and it knows no leader.", of("h1", term=0, leader=0)),),
            "The arc around a member is its election timer. Each draws its own length, so that they seldom end "
            "together.",
            "member:h1/1",
        ),
        Step(
            "h1's timer has ended. It becomes a pre-candidate: it asks whether it would be elected.",
            member("h1", role="pre-candidate"),
            (("Its term is still 0.", of("h1", term=0)),),
            "The question before the vote changes nothing. A member that was cut off can ask without disturbing "
            "anybody.",
            "member:h1/1",
        ),
        Step(
            "h2 is a candidate in term 1, and has voted for itself.",
            member("h2", role="candidate", term=1, vote=2),
            (("h1 is no candidate yet.", role("h1", "pre-candidate")),),
            see="member:h2/1",
        ),
        Step(
            "Now h1 is a candidate in term 1 as well, and has voted for itself.",
            member("h1", role="candidate", term=1, vote=1),
            (
                (
                    "Both votes are given away, and each candidate has one.",
                    all_of(of("h2", vote=2), of("h1", vote=1)),
                ),
                ("h3 is down and has none to give.", role("h3", "down")),
            ),
            "This is a split vote: nobody has two votes of three, and nobody may vote twice in a term.",
            "member:h1/1",
        ),
        Step(
            "h2 refuses h1 its vote.",
            message("sent", MessageType.REQUEST_VOTE_REPLY, "h2", to="h1", term=1),
            (("It has voted in this term, for itself.", of("h2", term=1, vote=2)),),
        ),
        Step(
            "h1 refuses h2 its vote.",
            message("sent", MessageType.REQUEST_VOTE_REPLY, "h1", to="h2", term=1),
            why="Now there is nothing to do but to wait: the timers run again, with new lengths.",
        ),
        Step(
            "h2's timer ends first this time, and it asks anew.",
            member("h2", role="pre-candidate"),
            (
                ("Nobody has won term 1.", all_of(of("h1", term=1, leader=0), of("h2", term=1, leader=0))),
                ("h1 still waits, as a candidate.", role("h1", "candidate")),
            ),
            see="member:h2/1",
        ),
        Step("h2 is a candidate in term 2.", member("h2", role="candidate", term=2), see="member:h2/1"),
        Step(
            "h1 hears of term 2, and votes for h2.",
            member("h1", term=2, vote=2),
            (("It is a follower again.", role("h1", "follower")),),
            "A new term is a new vote. h1's vote of term 1 does not bind it.",
            "member:h1/1",
        ),
        Step(
            "h2 leads, in term 2.",
            member("h2", role="leader", term=2),
            (("It has two votes of three: its own and h1's.", all_of(of("h1", vote=2), of("h2", vote=2))),),
            see="member:h2/1",
        ),
        Step("h1 hears its leader, and follows it.", member("h1", leader=2)),
        Step(
            "h3 starts, late.",
            member("h3", up=True, role="follower"),
            (("Its term is 0.", of("h3", term=0)),),
            see="member:h3/1",
        ),
        Step(
            "A heartbeat tells h3 who leads, and in which term. It follows, without any election.",
            member("h3", leader=2, term=2),
            (("h2 still leads term 2.", all_of(role("h2", "leader"), of("h2", term=2))),),
            "Heartbeats begin the timers of all followers anew. As long as they come, nobody campaigns.",
            "member:h3/1",
        ),
    ),
)

_FIGURE_8 = Lesson(
    "figure-8",
    "Figure 8 of the Raft paper: a majority is not enough",
    "Five members. An entry of an old term comes to lie on a majority, and is overwritten all the same. So a leader "
    "must "
    "not take an old entry for committed because a majority holds it.",
    "five",
    False,
    scripts.figure_8,
    1240,
    (
        Step("h1 leads, in term 1.", member("h1", role="leader", term=1), see="member:h1/1"),
        Step(
            "h1 and h2 are parted from the others.",
            happens("note", "lesson", text="h1 and h2 are parted"),
            (
                (
                    "All five hold the same three entries.",
                    all_of(*(all_of(holds(f"h{n}", 3, 1), lacks(f"h{n}", 4)) for n in range(1, 6))),
                ),
            ),
        ),
        Step(
            "A client writes. h2 gets the entry, at index 4 in term 1.",
            log("h2", 4, 1, "command"),
            (
                ("h1 holds it too.", holds("h1", 4, 1, "command", "put x first")),
                ("h3, h4 and h5 do not.", all_of(*(lacks(one, 4) for one in ("h3", "h4", "h5")))),
                ("It is committed nowhere.", uncommitted(4, "h1", "h2", "h3", "h4", "h5")),
            ),
            "This is (a) of the figure: two of five.",
            "member:h2/1",
        ),
        Step("h1 is killed.", member("h1", up=False), see="member:h1/1"),
        Step(
            "h3 campaigns in term 2.",
            member("h3", role="candidate", term=2),
            (("Its log ends at index 3.", lacks("h3", 4)),),
            see="member:h3/1",
        ),
        Step(
            "h3 leads, in term 2, elected by itself, h4 and h5.",
            member("h3", role="leader", term=2),
            (
                ("h4 and h5 have voted for it.", all_of(of("h4", vote=3), of("h5", vote=3))),
                ("Its log has an entry of its own at index 4, of term 2.", holds("h3", 4, 2, "noop")),
                ("h4 and h5 do not have that entry.", all_of(lacks("h4", 4), lacks("h5", 4))),
                ("What h3 sends is lost.", lambda state: state.drops.get(("h3", "cut off"), 0) > 0),
            ),
            "A leader's log begins its term with an empty entry.",
            "member:h3/1",
        ),
        Step("h3 is killed.", member("h3", up=False), why="This is (b).", see="member:h3/1"),
        Step(
            "h1 starts again.",
            member("h1", up=True, role="follower"),
            (("Its disk has kept the entry at index 4.", holds("h1", 4, 1, "command", "put x first")),),
            see="member:h1/1",
        ),
        Step(
            "h1 leads again, in term 3.",
            member("h1", role="leader", term=3),
            (("It has put an entry of term 3 behind the old one.", holds("h1", 5, 3, "noop")),),
            see="member:h1/1",
        ),
        Step(
            "h4 gets the old entry.",
            log("h4", 4, 1, "command"),
            (
                ("Now h1, h2 and h4 hold it: a majority.", all_of(*(holds(one, 4, 1) for one in ("h1", "h2", "h4")))),
                ("h1 has not committed it, nor anything since it is back.", of("h1", commit=0)),
                (
                    "The entry of term 3 lies on h1 and h2 only.",
                    all_of(holds("h1", 5, 3), holds("h2", 5, 3), lacks("h4", 5), lacks("h5", 5)),
                ),
            ),
            "This is (c). Here one must not count. A leader commits entries of its own term by counting, and older "
            "ones "
            "only by what follows them (Raft paper, section 5.4.2).",
            "member:h1/1",
        ),
        Step(
            "h1 is killed once more.",
            member("h1", up=False),
            (
                (
                    "Of those that live, h2, h4 and h5 hold the old entry.",
                    all_of(*(holds(f"h{n}", 4, 1) for n in (2, 4, 5))),
                ),
                ("It is still committed nowhere.", uncommitted(4, "h1", "h2", "h4", "h5")),
            ),
            see="member:h1/1",
        ),
        Step(
            "h3 is back.",
            member("h3", up=True, role="follower"),
            (("Its log has the entry of term 2 at index 4.", holds("h3", 4, 2, "noop")),),
            see="member:h3/1",
        ),
        Step(
            "h3 leads, in term 4.",
            member("h3", role="leader", term=4),
            (
                ("h4 and h5 have voted for it.", all_of(of("h4", vote=3), of("h5", vote=3))),
                ("h2 has voted for nobody in this term.", of("h2", term=4, vote=0)),
            ),
            "A member votes for a log whose last entry is of a later term than its own. h3's is of term 2, that of "
            "h4 and "
            "h5 of term 1. h2's is of term 3, so it refuses.",
            "member:h3/1",
        ),
        Step(
            "h5's entry at index 4 is overwritten by h3's.",
            log("h5", 4, 2, "noop"),
            why="This is (d). Had h1 told the client that its write is safe, it would have lied.",
            see="member:h5/1",
        ),
        Step("h2's is overwritten.", log("h2", 4, 2, "noop"), see="member:h2/1"),
        Step(
            "h4's is overwritten.",
            log("h4", 4, 2, "noop"),
            (("No living member holds the old entry now.", all_of(*(holds(f"h{n}", 4, 2) for n in (2, 3, 4, 5)))),),
            see="member:h4/1",
        ),
        Step(
            "h3 commits index 5, an entry of its own term, and with it all before.",
            member("h3", commit=5),
            (("The entry at index 5 is of term 4.", holds("h3", 5, 4, "noop")),),
            see="member:h3/1",
        ),
    ),
    one_at_a_time=True,
)

_STALE = Lesson(
    "stale-leader",
    "A stale leader meets the term filter",
    "Three members, each behind a switch of its own. The leader's switch is cut off, and there is a new leader "
    "before the "
    "old one knows. A tick of h1's clock takes a fifth longer, so it believes in itself a little longer.",
    "triangle",
    True,
    scripts.stale_leader,
    3,
    (
        Step("h1 leads, in term 1.", member("h1", role="leader", term=1), see="member:h1/1"),
        Step(
            "The controller hears of it from a switch, and tells all switches.",
            happens("controller", "controller", text="group 1: leader h1, term 1"),
            see="controller:controller",
        ),
        Step("The links of switch s1 are cut.", happens("note", "lesson", text="the links of s1 are cut")),
        Step(
            "A heartbeat of h1 ends at s1.",
            message("dropped", ASKS, "s1", why="the link is cut", source=1),
            see="switch:s1",
        ),
        Step(
            "h2 has heard nobody for its whole timer, and asks.",
            member("h2", role="pre-candidate"),
            (("h1 still leads, as far as it knows.", role("h1", "leader")),),
            see="member:h2/1",
        ),
        Step(
            "h2 leads, in term 2.",
            member("h2", role="leader", term=2),
            (("There are two leaders now, of different terms.", all_of(role("h1", "leader"), of("h1", term=1))),),
            "That is allowed. There is never more than one in a term, and only the later one has a majority.",
            "member:h2/1",
        ),
        Step(
            "The controller hears of h2 and its term.",
            happens("controller", "controller", text="group 1: leader h2, term 2"),
            see="controller:controller",
        ),
        Step(
            "The links work again.",
            happens("note", "lesson", text="the links of s1 work again"),
        ),
        Step(
            "At once a client asks h1, with NO_STEER: it insists on that member.",
            message("sent", _REQUEST, "h11", to="h1", flags=Flag.NO_STEER),
            (("h1 takes itself for the leader.", all_of(role("h1", "leader"), of("h1", term=1))),),
        ),
        Step(
            "h1 sends the entry on, in term 1. Switch s2 drops that, for its stale term.",
            message("dropped", ASKS, "s2", why="stale_term", term=1, source=1),
            (
                ("s2 has dropped one such message so far.", dropped("s2", "stale_term", 1)),
                ("It has passed s1.", hit("s1", "leader_watch")),
                ("In s2 it has hit the table term_filter.", hit("s2", "term_filter")),
            ),
            "A switch drops what is of a lower term than that of the leader whom it has heard within two heartbeats.",
        ),
        Step(
            "s3 drops the one to h3.",
            message("dropped", ASKS, "s3", why="stale_term", term=1, source=1),
            why="The members would have refused it, too. The filter saves the way, and nobody relies on it.",
            see="switch:s3",
        ),
        Step(
            "h1's log has the client's entry, at index 4 in term 1.",
            log("h1", 4, 1, "command"),
            (("h2's log has another one there, of term 2.", holds("h2", 4, 2, "noop")),),
            see="member:h1/1",
        ),
        Step(
            "h1 leads no more: no quorum has answered it for an election timeout.",
            member("h1", role="follower"),
            (("It does not know of term 2 yet.", of("h1", term=1)),),
            see="member:h1/1",
        ),
        Step("h1 sends the client a reply.", message("sent", MessageType.CLIENT_REPLY, "h1", to="h11")),
        Step("A heartbeat of h2 reaches h1, and h1 follows.", member("h1", leader=2, term=2), see="member:h1/1"),
        Step("The client asks h2.", message("sent", _REQUEST, "h11", to="h2")),
        Step(
            "h1's entry is replaced by h2's.",
            log("h1", 4, 2, "noop"),
            (
                (
                    "What the client wants is in the log all the same, at index 5.",
                    holds("h1", 5, 2, "command", "put color green"),
                ),
                ("h2 has committed it.", of("h2", commit=5)),
            ),
            "A client that gets no answer, or is told of another leader, asks on. Its session keeps the request from "
            "being carried out twice.",
            "member:h1/1",
        ),
        Step("The client has its answer.", happens("answer", "c1", outcome="ok", call=2)),
    ),
    slow_clock=1,
)

_STEERED = Lesson(
    "steering",
    "A client's request is steered while the leader changes",
    "A client on h11 asks h3, a follower. Its switch, s1, sends its requests to whoever leads.",
    "triangle",
    True,
    scripts.steered,
    0,
    (
        Step("h1 leads, in term 1.", member("h1", role="leader", term=1), see="member:h1/1"),
        Step(
            "The controller writes the leader's address, 10.0.1.1, into s1.",
            happens(
                "table", "s1", table="groups", do="modify", action="set_group", values=[0, 2, 1, 1, _TO_H1, _PORT]
            ),
            see="switch:s1",
        ),
        Step(
            "The client sends a request to h3.",
            message("sent", _REQUEST, "h11", to="h3"),
            why="The first request opens a session, by which a group knows a client's requests again.",
        ),
        Step(
            "It arrives at h1: s1 has rewritten its destination.",
            message("received", _REQUEST, "h1", astray=True),
            also=(("In s1 it has hit the table leader_route.", hit("s1", "leader_route")),),
            why="A hit rewrites the destination, and makes the UDP checksum right again.",
        ),
        Step("The client has its answer: red is written.", happens("answer", "c1", outcome="ok", call=1)),
        Step("h1 is killed.", member("h1", up=False), see="member:h1/1"),
        Step(
            "The client wants to write green, and asks h3 again.",
            message("sent", _REQUEST, "h11", to="h3"),
            (("The controller still takes h1 for the leader.", led_by(1, 1)),),
            see="controller:controller",
        ),
        Step(
            "s1 steers the request to h1, which is down. It is lost.",
            message("dropped", _REQUEST, "h1", why="its process is down"),
            why="A switch that does not know better loses a request. The client tries again.",
        ),
        Step(
            "h2 leads, in term 2.",
            member("h2", role="leader", term=2),
            (("The controller does not know it yet.", led_by(1, 1)),),
            see="member:h2/1",
        ),
        Step(
            "The controller has heard of it.",
            happens("controller", "controller", text="group 1: leader h2, term 2"),
            why="A switch that sees messages of a new leader tells the controller, by a digest.",
            see="controller:controller",
        ),
        Step(
            "s1 has h2's address now, 10.0.2.2, by a change of one entry.",
            happens(
                "table", "s1", table="groups", do="modify", action="set_group", values=[0, 2, 2, 2, _TO_H2, _PORT]
            ),
            (("h2 leads.", role("h2", "leader")),),
            see="switch:s1",
        ),
        Step(
            "The client tries again, and happens to ask h1, which is down.",
            message("sent", _REQUEST, "h11", to="h1"),
            (("h1 is still down.", role("h1", "down")),),
        ),
        Step("The request arrives at h2.", message("received", _REQUEST, "h2", astray=True), see="member:h2/1"),
        Step(
            "h2 writes it into its log.",
            log("h2", 5, 2, "command"),
            (("It is the client's.", holds("h2", 5, 2, says="put color green")),),
        ),
        Step("The client has its answer: green is written.", happens("answer", "c1", outcome="ok", call=2)),
        Step("Another client asks h3.", message("sent", _REQUEST, "h11", to="h3")),
        Step(
            "Its request arrives at h2 at once.",
            message("received", _REQUEST, "h2", astray=True),
            why="Without s1 it would have been told `not leader, try h2`, and have asked again.",
            see="member:h2/1",
        ),
        Step("It has its answer: blue is written.", happens("answer", "c2", outcome="ok", call=3)),
    ),
)

_JOINT = Lesson(
    "joint-change",
    "A joint change of members",
    "Five members become three, in one change. In between, for a moment, both the five and the three must agree.",
    "five",
    False,
    scripts.joint_change,
    41,
    (
        Step(
            "h1 leads five members, in term 1.",
            member("h1", role="leader", term=1),
            (("The voters are 1 to 5.", of("h1", voters=[1, 2, 3, 4, 5], outgoing=[])),),
            see="member:h1/1",
        ),
        Step("An operator asks h1 to remove h4 and h5.", happens("note", "lesson", text="an operator asks h1")),
        Step(
            "h1 appends a joint configuration, at index 2.",
            log("h1", 2, 1, "configuration"),
            (
                (
                    "It names the new voters and the old ones.",
                    holds("h1", 2, 1, says="voters [1, 2, 3], joint with [1, 2, 3, 4, 5]"),
                ),
            ),
            "Both majorities must agree from now on, to elections and to entries: two of the three, and three of "
            "the five.",
            "member:h1/1",
        ),
        Step(
            "h1 acts by it at once, before it is committed.",
            member("h1", voters=[1, 2, 3], outgoing=[1, 2, 3, 4, 5]),
            (("Committed is index 1.", of("h1", commit=1)),),
            "A member acts by the latest configuration in its log, committed or not.",
            "member:h1/1",
        ),
        Step(
            "h4, which is to leave, holds the joint configuration too.",
            log("h4", 2, 1, "configuration"),
            why="Its acknowledgement still counts, among the five.",
            see="member:h4/1",
        ),
        Step(
            "h1 has committed the joint configuration, and appends the new one, at index 3.",
            log("h1", 3, 1, "configuration"),
            (
                (
                    "It names three voters, and is joint with none.",
                    lambda state: state.says("h1", 3) == "voters [1, 2, 3]",
                ),
                (
                    "A majority of the three and of the five holds index 2.",
                    all_of(*(holds(f"h{n}", 2, 1) for n in (1, 2, 3, 4, 5))),
                ),
            ),
            see="member:h1/1",
        ),
        Step(
            "From now on h1 counts among three.",
            member("h1", voters=[1, 2, 3], outgoing=[], commit=2),
            see="member:h1/1",
        ),
        Step(
            "The new configuration is committed.",
            member("h1", commit=3),
            (("h4 does not hold it yet, and is not needed.", lacks("h4", 3)),),
            see="member:h1/1",
        ),
        Step(
            "h4 hears that it has been removed.",
            log("h4", 3, 1, "configuration"),
            see="member:h4/1",
        ),
        Step("h4 is killed.", member("h4", up=False), see="member:h4/1"),
        Step(
            "Now h3 is killed, so three of the five of old are down.",
            member("h3", up=False),
            (
                ("h1 and h2 live.", all_of(role("h1", "leader"), role("h2", "follower"))),
                ("h4 and h5 are down.", all_of(role("h4", "down"), role("h5", "down"))),
            ),
            see="member:h3/1",
        ),
        Step("A client writes.", happens("call", "c1", operation="put")),
        Step(
            "h1 commits what the client has written: two of three are a majority.",
            member("h1", commit=5),
            (("h2 holds it.", holds("h2", 5, 1, "command", "put x two of three")),),
            "Of five, two would not have been one.",
            "member:h1/1",
        ),
        Step("The client has its answer.", happens("answer", "c1", outcome="ok")),
    ),
)

_STRANGER = Lesson(
    "stranger",
    "A stranger at the edge",
    "h11 is a client's host. Somebody there speaks as a member. Raft would believe it: a message says by itself who "
    "has "
    "sent it. Switch s1 does not: it knows behind which of its ports each member is.",
    "triangle",
    True,
    scripts.stranger,
    0,
    (
        Step(
            "The controller writes into s1 which member is at its edge.",
            happens("table", "s1", table="members", do="insert"),
            why="An entry names a group, a member's id, its address and its port.",
            see="switch:s1",
        ),
        Step(
            "s1 gets the entry that lets it drop.",
            happens("table", "s1", table="guard_enforce", do="insert"),
            why="It comes last, or a switch that is half programmed would cut members off.",
            see="switch:s1",
        ),
        Step("h1 leads, in term 1.", member("h1", role="leader", term=1), see="member:h1/1"),
        Step(
            "The stranger sends h2 a RequestVote, as member 3, in term 1001.",
            message("sent", MessageType.REQUEST_VOTE, "h11", to="h2", source=3, term=1001),
            why="A member that hears its leader does not answer such a question. But a stranger should not come "
            "that far.",
        ),
        Step(
            "s1 drops it: not a member.",
            message("dropped", MessageType.REQUEST_VOTE, "s1", why="not_member", term=1001),
            (
                ("It has missed the table members,", hit("s1", "members", found=False)),
                ("and hit guard_enforce, which drops.", hit("s1", "guard_enforce")),
                ("h2 is in term 1, as before.", of("h2", term=1)),
            ),
            "No member is registered with that address at that port.",
        ),
        Step(
            "It borrows the address of h3, and tries again.",
            message("sent", MessageType.REQUEST_VOTE, "h11", to="h2", source=3, term=1001),
            why="Any host can write any address. It cannot choose its port.",
        ),
        Step(
            "s1 drops that as well.",
            message("dropped", MessageType.REQUEST_VOTE, "s1", why="not_member", term=1001),
            (("It has dropped two.", dropped("s1", "not_member", 2)),),
            see="switch:s1",
        ),
        Step(
            "The stranger says that it is the leader, h1, of term 1001.",
            message("sent", ASKS, "h11", to="h2", source=1, term=1001),
            why="Had it arrived, h2 would have followed it: who leads a later term is believed. h1 is at the same "
            "switch, but "
            "at another port.",
        ),
        Step(
            "s1 drops it.",
            message("dropped", ASKS, "s1", why="not_member", term=1001),
            (
                ("It has dropped three.", dropped("s1", "not_member", 3)),
                ("The controller knows h1 and term 1, as before.", led_by(1, 1)),
            ),
            "The guard stands before leader_watch in the program, so a switch does not even learn the stranger's "
            "term.",
            "switch:s1",
        ),
        Step(
            "A client on the same host writes.",
            happens("call", "c1", operation="put"),
            (
                ("h1 leads.", role("h1", "leader")),
                ("All are in term 1.", all_of(*(of(one, term=1) for one in ("h1", "h2", "h3")))),
            ),
            "A client's request needs no check. It is data, and says nothing as a member.",
        ),
        Step("It has its answer.", happens("answer", "c1", outcome="ok")),
    ),
)

LESSONS = (_ELECTION, _FIGURE_8, _STALE, _STEERED, _JOINT, _STRANGER)
