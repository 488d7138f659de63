"""What a follower must answer to AppendEntries: the given tests of the Python exercise, in a language of six words.

A case begins with a comment, and ends with a blank line. The head of the given tests says what the words mean.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts.raft.configuration import Configuration
from hosts.raft.fastest import AcknowledgementCounts
from hosts.raft.log import MemoryLog
from hosts.raft.message import Entry, EntryKind, Message, MessageType
from hosts.raft.outbox import Outbox
from hosts.raft.quorum import Membership
from hosts.raft.snapshot import Snapshot

LEADERS_TERM = 9
_OWN, _LEADER = 2, 1
_BIRTH = Configuration(0, Membership(frozenset({_OWN, _LEADER, 3})))

_GIVEN = """\
# What a follower must answer to the leader of term 9.
#
# log 1 1 2                  the follower holds entries 1, 2, 3, of terms 1, 1, 2
# commit 1                   of them entry 1 is committed
# snapshot 1                 entry 1 is committed, and only a snapshot has it still: its term is not known any more
# append 3 2 9 9 commit 1    the leader sends two entries of term 9, after entry 3 of term 2; it has committed 1
# match 5, or reject         what the follower must answer
# holds 1 1 2 9 9            what it must hold then
# committed 1                up to where it must be committed then

# An empty log takes the first entries: nothing lies before index 1.
log
append 0 0 9 9 commit 0
match 2
holds 9 9
committed 0

# The entry before has the right term: what follows is taken.
log 1 1 2
append 3 2 9 commit 0
match 4
holds 1 1 2 9

# The log ends before: there is a gap, so it rejects, and holds what it held.
log 1 1
append 3 2 9 commit 3
reject
holds 1 1
committed 0

# The entry before has another term: it rejects, however many entries follow.
log 1 1 2
append 3 3 9 commit 3
reject
holds 1 1 2
committed 0

# Entries that disagree are replaced by the leader's.
log 1 1 2 2
append 2 1 3 9 commit 0
match 4
holds 1 1 3 9

# A late message brings entries that the log has already: nothing is cut off behind them.
log 1 1 3 3
append 1 1 1 commit 0
match 2
holds 1 1 3 3

# A late message begins before what is committed: it is taken from there on.
log 1 1 3
commit 2
append 0 0 1 1 3 9 commit 2
match 4
holds 1 1 3 9
committed 2

# The same, but a snapshot has taken the place of the entries up to 2: their terms are not known any more.
log 1 1 3
snapshot 2
append 1 1 1 3 9 commit 2
match 4
committed 2

# The leader has committed 3, the follower agrees up to 2: it has committed 2. What lies behind may differ.
log 1 1 2
append 1 1 1 commit 3
match 2
committed 2

# The leader's commit index moves the follower's forward.
log 1 1 3
append 3 3 9 commit 3
match 4
committed 3

# A late message names a lower commit index: it never goes back.
log 1 1 3
commit 3
append 3 3 9 commit 1
match 4
committed 3
"""


def given() -> str:
    """The text of the given tests."""
    return _GIVEN


@dataclass(frozen=True, slots=True)
class Case:
    """One follower, one message, and what must come of it."""

    says: str
    line: int
    words: tuple[tuple[int, str, tuple[int, ...]], ...]


class EntriesError(Exception):
    """The tests cannot be read; the text names the line."""


def read(text: str) -> Iterator[Case]:
    """The cases of a file. Raises EntriesError."""
    says: list[str] = []
    words: list[tuple[int, str, tuple[int, ...]]] = []
    began = 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        bare = line.strip()
        if bare.startswith("#"):
            says.append(bare.lstrip("# "))
        elif bare:
            began = began or number
            word, *rest = bare.split()
            if word not in ("log", "commit", "snapshot", "append", "match", "reject", "holds", "committed"):
                raise EntriesError(f"line {number}: {word} is none of the words")
            try:
                words.append((number, word, tuple(int(one) for one in rest if one != "commit")))
            except ValueError:
                raise EntriesError(f"line {number}: {bare} needs numbers") from None
        else:
            if words:
                yield Case(" ".join(says), began, tuple(words))
            says, words, began = [], [], 0


def run(case: Case) -> list[str]:
    """What was not as it must be, in words. It uses whatever hosts.raft.following is loaded."""
    from hosts.raft.following import Following

    try:
        return _carry_out(case, Following)
    except EntriesError:
        raise
    except Exception as error:
        return [f"your code raised {type(error).__name__}, or left a log that is broken: {error}{_where(error)}"]


def _carry_out(case: Case, following: Any) -> list[str]:
    log, sent, out = MemoryLog(()), None, Outbox(_OWN, 1)
    differences: list[str] = []
    entries: list[Entry] = []
    for number, word, values in case.words:
        if word == "log":
            entries = [Entry(term, at, EntryKind.COMMAND) for at, term in enumerate(values, 1)]
            log = MemoryLog(entries, _BIRTH)
        elif word == "snapshot":
            (index,) = values
            log = MemoryLog(entries, _BIRTH, Snapshot(index, log.term_at(index) or 0, _BIRTH, b""))
        elif word == "commit":
            (log.commit_index,) = values
        elif word == "append":
            sent = _message(number, values)
            following(log, out, _no_sink, AcknowledgementCounts()).on_append_entries(sent, True)
        else:
            told = _compare(word, values, log, out, sent)
            if told:
                differences.append(f"line {number}: {told}")
    return differences


def _message(number: int, values: tuple[int, ...]) -> Message:
    if len(values) < 3:
        raise EntriesError(f"line {number}: append PREV TERM [TERMS…] commit N")
    prev, term, *terms, commit = values
    entries = tuple(Entry(one, prev + at, EntryKind.COMMAND) for at, one in enumerate(terms, 1))
    return Message(
        MessageType.APPEND_ENTRIES, _LEADER, _OWN, LEADERS_TERM, prev, term, commit, round=1, entries=entries
    )


def _compare(word: str, values: tuple[int, ...], log: MemoryLog, out: Outbox, sent: Message | None) -> str:
    answers = [*out.now, *out.after]
    if sent is None:
        return "nothing was sent before"
    if word == "holds":
        held = tuple(log.term_at(index) or 0 for index in range(1, log.last_index + 1))
        return "" if held == values else f"the log holds terms {_list(held)}, expected {_list(values)}"
    if word == "committed":
        now = log.commit_index
        return "" if (now,) == values else f"it is committed up to {now}, expected {values[0]}"
    if len(answers) != 1:
        return f"it sent {len(answers)} answers, expected one"
    (answer,) = answers
    if word == "reject":
        return "" if answer.reject else f"it accepted, up to entry {answer.index}; expected a REJECT"
    if answer.reject:
        return f"it rejected; expected that it acknowledges up to entry {values[0]}"
    return "" if (answer.index,) == values else f"it acknowledged up to {answer.index}, expected {values[0]}"


def _list(terms: tuple[int, ...]) -> str:
    return " ".join(map(str, terms)) or "none"


def _no_sink() -> Any:
    raise AssertionError("no snapshot is sent here")


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).name == "following.py"]
    return f" ({own[-1].name}, line {own[-1].lineno}: {own[-1].line})" if own else ""
