"""One core, its disk instantaneous, its peers played by the test."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hosts.raft.core import Config, Raft, Ready, Role
from hosts.raft.message import Entry, EntryKind, HardState, Message, MessageType

ELECTION_TICKS = 10
HEARTBEAT_TICKS = 2

PRE_VOTE = MessageType.PRE_VOTE
PRE_VOTE_REPLY = MessageType.PRE_VOTE_REPLY
VOTE = MessageType.REQUEST_VOTE
VOTE_REPLY = MessageType.REQUEST_VOTE_REPLY
APPEND = MessageType.APPEND_ENTRIES
APPEND_REPLY = MessageType.APPEND_ENTRIES_REPLY


def entries(terms: Sequence[int], first: int = 1) -> tuple[Entry, ...]:
    """Commands with these terms, from index ``first``."""
    return tuple(Entry(term, first + at, EntryKind.COMMAND, b"%d" % term) for at, term in enumerate(terms))


def member(
    terms: Sequence[int] = (), *, term: int | None = None, vote: int = 0, size: int = 3, seed: int = 0, **options: int
) -> Raft:
    """Member 1 of ``size`` whose log holds entries of these terms."""
    hard_state = HardState(max(terms, default=0) if term is None else term, vote)
    options = {"election_timeout_ticks": ELECTION_TICKS, "heartbeat_ticks": HEARTBEAT_TICKS, **options}
    return Raft(Config(1, frozenset(range(1, size + 1)), **options), hard_state, entries(terms), Random(seed))


def drain(raft: Raft) -> list[Message]:
    """Make everything durable at once; all that leaves."""
    out: list[Message] = []
    while (ready := raft.ready()) is not None:
        out += ready.messages
        raft.advance(ready)
        out += ready.after
    return out


def readies(raft: Raft) -> list[Ready]:
    """The Readys that come out while the disk writes nothing."""
    out = []
    while (ready := raft.ready()) is not None:
        out.append(ready)
    return out


def only(messages: Sequence[Message], kind: MessageType, to: int | None = None) -> list[Message]:
    return [one for one in messages if one.type is kind and to in (None, one.target)]


def tick(raft: Raft, count: int) -> None:
    for _ in range(count):
        raft.tick()


def answer(request: Message, *, reject: bool = False, index: int = 0, term: int | None = None) -> Message:
    """The reply that the request's target would give to a vote request or an AppendEntries; to a heartbeat, if it
    holds what is committed."""
    kind = {PRE_VOTE: PRE_VOTE_REPLY, VOTE: VOTE_REPLY, APPEND: APPEND_REPLY}[request.type]
    if request.type is APPEND:
        matched = index or request.index + len(request.entries) or request.commit
        return Message(
            kind, request.target, request.source, term or request.term, matched, reject=reject, round=request.round
        )
    return Message(
        kind,
        request.target,
        request.source,
        term or request.term,
        log_term=request.term,
        reject=reject,
        round=request.round,
    )


def campaign(raft: Raft) -> list[Message]:
    """Let the election timeout pass; what leaves."""
    tick(raft, 2 * ELECTION_TICKS)
    return drain(raft)


def candidate(*args: Sequence[int], **options: int) -> tuple[Raft, list[Message]]:
    """A member that asks for votes, and its requests."""
    raft = member(*args, **options)  # type: ignore[arg-type]
    for request in only(campaign(raft), PRE_VOTE):
        raft.step(answer(request))
    requests = only(drain(raft), VOTE)
    assert raft.role is Role.CANDIDATE
    return raft, requests


def leader(*args: Sequence[int], **options: int) -> Raft:
    """A member that has just been elected; its no-op and first AppendEntries wait in ready()."""
    raft, requests = candidate(*args, **options)
    for request in requests:
        raft.step(answer(request))
    assert raft.role is Role.LEADER
    return raft


def settled_leader(*args: Sequence[int], **options: int) -> Raft:
    """A leader whose followers hold everything, and it knows."""
    raft = leader(*args, **options)
    acknowledge_all(raft)
    assert raft.commit_index == raft.last_index
    return raft


def acknowledge_all(raft: Raft) -> list[Message]:
    """Deliver and acknowledge until nothing more leaves; the AppendEntries seen."""
    seen: list[Message] = []
    while messages := only(drain(raft), APPEND):
        seen += messages
        for message in messages:
            if message.entries:
                raft.step(answer(message))
    return seen


def answer_all(raft: Raft, *silent: int) -> list[Message]:
    """Everyone but ``silent`` answers what leaves now, heartbeats too; all that left."""
    messages = drain(raft)
    for message in only(messages, APPEND):
        if message.target not in silent:
            raft.step(answer(message))
    return messages


def append(
    term: int,
    prev: int = 0,
    prev_term: int = 0,
    terms: Sequence[int] = (),
    *,
    commit: int = 0,
    source: int = 2,
    round: int = 1,
) -> Message:
    """An AppendEntries to member 1."""
    return Message(APPEND, source, 1, term, prev, prev_term, commit, round=round, entries=entries(terms, prev + 1))


def log_terms(raft: Raft) -> list[int | None]:
    return [raft.log.term_at(index) for index in range(1, raft.last_index + 1)]
