"""The exercises: what is blanked in each, the tests that are given, and the seeds that show a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from course import entries, packets
from course.blanks import ApplyBlock, Blank, P4Statement, PythonStatement
from course.packets import (
    ADDRESSES,
    CLIENT,
    ENFORCE,
    FILTER,
    GUARD,
    H1,
    H11,
    NO_STEER,
    RESOLVE,
    ROUTE,
    S2,
    S3,
    SERVICE,
    SLOT,
    WATCH,
    case,
    counted,
    dropped,
    of_type,
    passes,
    peer,
    plain,
    reply,
    request,
    send,
)
from hosts.raft.message import MessageType
from topo.errors import UsageError

NOT_MEMBER, STALE_TERM, BAD_VERSION = 9, 10, 6
ASKS, SAYS = MessageType.APPEND_ENTRIES, MessageType.APPEND_ENTRIES_REPLY


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise. ``must_count``: what a seed must count with a right solution, with a sentence if it does not."""

    name: str
    title: str
    minutes: int
    blanks: tuple[Blank, ...]
    tests: Callable[[], str]
    seeds: tuple[int, ...]
    must_count: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """The sources that a student works on, by their paths in the checkout."""
        return tuple(dict.fromkeys(blank.file for blank in self.blanks))

    @property
    def is_p4(self) -> bool:
        """Whether a part of raft.p4 is blanked; else a decision in Python is."""
        return self.files[0].endswith(".p4")

    @property
    def tests_file(self) -> str:
        """The name of the given tests in the student's folder."""
        return "packets.stf" if self.is_p4 else "entries.txt"

    @property
    def text(self) -> str:
        """The page that says what to do, by its path in the checkout."""
        return f"docs/course/{self.name}.md"


def find(name: str) -> Exercise:
    """Raises UsageError."""
    for one in EXERCISES:
        if one.name == name:
            return one
    raise UsageError(f"there is no exercise {name}: there are {', '.join(one.name for one in EXERCISES)}")


def _counting() -> str:
    beat = peer(ASKS, 1, 2)
    answer = peer(SAYS, 2, 1)
    return packets.header("Counting Raft's messages by type.") + "".join(
        (
            case(
                "A heartbeat of h1 passes, and counts as type 5.",
                send(H1, beat),
                passes(S2, beat),
                counted("message_count.messages", 5, 1),
            ),
            case(
                "Two answers of h2 pass, and count as type 6; type 5 stays at 1.",
                send(S2, answer),
                passes(H1, answer),
                send(S2, answer),
                passes(H1, answer),
                counted("message_count.messages", 6, 2),
                counted("message_count.messages", 5, 1),
            ),
            case(
                "A client's request counts too, as type 16.",
                send(H11, request(ADDRESSES[1])),
                passes(H1, request(ADDRESSES[1])),
                counted("message_count.messages", 16, 1),
            ),
            case(
                "A type that nobody knows, 30, is dropped later on; it counts all the same, under its own number.",
                send(H11, of_type(30)),
                dropped(BAD_VERSION, 1),
                counted("message_count.messages", 30, 1),
            ),
            case(
                "Types from 31 up, here 31 and 200, share the last place: the counter has 32.",
                send(H11, of_type(31)),
                send(H11, of_type(200)),
                dropped(BAD_VERSION, 3),
                counted("message_count.messages", 31, 2),
            ),
            case(
                "A datagram that is not Raft's passes and counts nowhere: type 0 has none.",
                send(H11, plain()),
                passes(H1, plain()),
                counted("message_count.messages", 0, 0),
            ),
        )
    )


def _stale_term() -> str:
    beat = peer(ASKS, 1, 2)
    old, other = peer(ASKS, 3, 1, 4), peer(ASKS, 3, 1, 3)
    vote, new_vote, equal = (peer(MessageType.REQUEST_VOTE, 3, 1, term) for term in (4, 6, 5))
    answer, refusal = peer(SAYS, 2, 1, 4), peer(MessageType.REQUEST_VOTE_REPLY, 2, 1, 4)
    entries_ = packets.GUARD + WATCH + FILTER
    return (
        packets.header("Dropping what a stale leader says.").rstrip("\n")
        + "\n"
        + entries_
        + "".join(
            (
                case(
                    "A heartbeat of h1, in term 5, passes: s1 has heard the leader.", send(H1, beat), passes(S2, beat)
                ),
                case(
                    "AppendEntries of term 4 comes from h3, a leader of the past: it is dropped.",
                    send(S3, old),
                    dropped(STALE_TERM, 1),
                ),
                case(
                    "A RequestVote of term 4 is dropped: its sender cannot win, and would only disturb.",
                    send(S3, vote),
                    dropped(STALE_TERM, 2),
                ),
                case(
                    "An AppendEntriesReply of term 4 passes: no reply is dropped, for whoever asked waits.",
                    send(S2, answer),
                    passes(H1, answer),
                ),
                case("A RequestVoteReply of term 4 passes as well.", send(S2, refusal), passes(H1, refusal)),
                case(
                    "A RequestVote of the same term, 5, passes: it is not lower.", send(S3, equal), passes(H1, equal)
                ),
                case(
                    "A RequestVote of term 6 passes: it is a new election.", send(S3, new_vote), passes(H1, new_vote)
                ),
                case(
                    "A second has gone by, and the leader of term 5 was not heard: AppendEntries of term 3 passes. "
                    "What a switch has learnt must not mute a live leader for longer than a window.",
                    "wait",
                    send(S3, other),
                    passes(H1, other),
                    dropped(STALE_TERM, 2),
                ),
            )
        )
    )


def _guard() -> str:
    beat = peer(ASKS, 1, 2)
    forged = peer(ASKS, 1, 2, ip=CLIENT)
    borrowed = peer(ASKS, 1, 2)
    passing = peer(ASKS, 3, 1)
    told, lied = reply(1, CLIENT), reply(1, ADDRESSES[2], ip=CLIENT)
    asked = request(ADDRESSES[1])
    other = peer(ASKS, 2, 3, ip=ADDRESSES[1])
    return packets.header("Only members speak as members.") + "".join(
        (
            case(
                "Before the group's enforce entry is there, nothing is dropped: a stranger's heartbeat passes.",
                GUARD,
                send(H11, forged),
                passes(S2, forged),
            ),
            case(
                "The enforce entry is there. The heartbeat of member 1 passes: it comes from its address and port.",
                ENFORCE,
                send(H1, beat),
                passes(S2, beat),
            ),
            case(
                "The client's host sends a heartbeat as member 1, from its own address: it is dropped.",
                send(H11, forged),
                dropped(NOT_MEMBER, 1),
            ),
            case(
                "The client's host borrows the address of h1 too: it is dropped, since it comes in at port 2.",
                send(H11, borrowed),
                dropped(NOT_MEMBER, 2),
            ),
            case(
                "Member 1 says that it is member 2: it is dropped.",
                send(H1, other),
                dropped(NOT_MEMBER, 3),
            ),
            case(
                "A heartbeat of member 3 comes over the trunk from s3: it passes. The switch where it came in has "
                "checked it.",
                send(S3, passing),
                passes(H1, passing),
            ),
            case(
                "A client's request passes: a client is no member and need not be.",
                send(H11, asked),
                passes(H1, asked),
            ),
            case("A reply of member 1 to a client passes.", send(H1, told), passes(H11, told)),
            case(
                "The client's host sends a client reply as member 1: it is dropped. Clients believe such replies.",
                send(H11, lied),
                dropped(NOT_MEMBER, 4),
            ),
        )
    )


def _leader_route() -> str:
    away, there = request(ADDRESSES[2]), request(ADDRESSES[1])
    service, unsealed = request(SERVICE), request(ADDRESSES[3], checksum=False)
    insists = request(ADDRESSES[2], flags=NO_STEER)
    told = reply(2, CLIENT)
    return packets.header("A client's request goes to the leader.") + "".join(
        (
            case(
                "Without an entry in leader_route a request goes as addressed, to h2.",
                send(H11, away),
                passes(S2, away),
            ),
            case(
                "The entry is there. A request to h2 goes to the leader, h1, and counts as a redirect of slot 7. "
                "Both checksums are right.",
                ROUTE + RESOLVE,
                send(H11, away),
                passes(H1, away, ADDRESSES[1]),
                counted("leader_route.redirects", SLOT, 1),
            ),
            case(
                "A request to the leader goes there as it is, and is no redirect.",
                send(H11, there),
                passes(H1, there),
                counted("leader_route.redirects", SLOT, 1),
            ),
            case(
                "A request to the service address goes to the leader.",
                send(H11, service),
                passes(H1, service, ADDRESSES[1]),
                counted("leader_route.redirects", SLOT, 2),
            ),
            case(
                "A request without a UDP checksum goes to the leader, still without one.",
                send(H11, unsealed),
                passes(H1, unsealed, ADDRESSES[1]),
                counted("leader_route.redirects", SLOT, 3),
            ),
            case("A request with NO_STEER goes to h2, as addressed.", send(H11, insists), passes(S2, insists)),
            case(
                "A request that comes over a trunk goes as addressed: the switch where it came in has steered it. If "
                "every switch did, switches that disagree would send it round in circles.",
                send(S2, request(ADDRESSES[3])),
                passes(S3, request(ADDRESSES[3])),
            ),
            case(
                "Group 2 has no leader. A request to its service address goes to a live member, h2.",
                packets.WITHOUT_LEADER + packets.RESOLVE_OTHER,
                send(H11, request(packets.OTHER_SERVICE, group=2)),
                passes(S2, request(packets.OTHER_SERVICE, group=2), ADDRESSES[2]),
            ),
            case(
                "Group 2 has no leader. A request to h1 goes as addressed.",
                send(H11, request(ADDRESSES[1], group=2)),
                passes(H1, request(ADDRESSES[1], group=2)),
            ),
            case("A reply to the client goes to the client.", send(S2, told), passes(H11, told)),
            case(
                "Raft's own messages stay as they are: an AppendEntries to h2 goes to h2.",
                send(H1, peer(ASKS, 1, 2)),
                passes(S2, peer(ASKS, 1, 2)),
                counted("leader_route.redirects", SLOT, 3),
            ),
        )
    )


_COUNT_BLANK = """
// Your part: count the message in `messages`, under its type.
"""

_STALE_BLANK = """
// Your part, 1: when is a message stale? (`term` is what the switch has learnt, `lapsed` whether that is too old.)
meta.stale = false;
"""

_FILTER_BLANK = """
// Your part, 2: which of the stale messages may be dropped?
if (meta.stale) {
  term_filter.apply();
}
"""

_GUARD_BLANK = """
// Your part. As it stands, everybody is believed: whatever `members` finds is overruled.
members.apply();
meta.registered = true;
if (!meta.registered) {
  guard_enforce.apply();
}
"""

_ROUTE_BLANK = """
// Your part. As it stands, the tables are looked up, and every request goes as addressed.
leader_route.apply();
service_addresses.apply();
"""

_APPEND_BLANK = """
# Your part, 1: do the entries follow what this log holds? If not, reject them, and return.
"""

_COMMIT_BLANK = """
# Your part, 2: up to where is the log committed now?
"""

_FOLLOWING = "hosts/raft/following.py"

EXERCISES = (
    Exercise(
        "counting",
        "Count Raft's messages by type",
        30,
        (ApplyBlock("p4/include/message_count.p4", "message_count", _COUNT_BLANK),),
        _counting,
        (13,),
    ),
    Exercise(
        "stale-term",
        "Drop what a stale leader says",
        60,
        (
            P4Statement("p4/include/leader_watch.p4", "leader_watch", "meta.stale =", _STALE_BLANK),
            ApplyBlock("p4/include/term_filter.p4", "term_filter", _FILTER_BLANK),
        ),
        _stale_term,
        (7,),
        {"dropped: stale_term": "No message was dropped for its stale term."},
    ),
    Exercise(
        "guard",
        "Only members speak as members",
        45,
        (ApplyBlock("p4/include/member_guard.p4", "member_guard", _GUARD_BLANK),),
        _guard,
        (13,),
        {"dropped: not_member": "Nobody was dropped for not being a member."},
    ),
    Exercise(
        "leader-route",
        "A client's request goes to the leader",
        75,
        (ApplyBlock("p4/include/leader_route.p4", "leader_route", _ROUTE_BLANK),),
        _leader_route,
        (7,),
        {"redirects": "No request was steered to the leader."},
    ),
    Exercise(
        "append-check",
        "What a follower accepts",
        75,
        (
            PythonStatement(_FOLLOWING, "on_append_entries", "if prev < ", _APPEND_BLANK),
            PythonStatement(_FOLLOWING, "on_append_entries", "log.commit_index =", _COMMIT_BLANK),
        ),
        entries.given,
        (8,),
    ),
)
