"""What a message must look like whatever the member's state: anything else is dropped."""

from __future__ import annotations

from hosts.raft.configuration import is_configuration
from hosts.raft.message import MAX_TERM, EntryKind, Message


def in_range(message: Message) -> bool:
    """Terms and indexes below 2^63; no message has term 0."""
    return (
        0 < message.term <= MAX_TERM
        and 0 <= message.index <= MAX_TERM
        and 0 <= message.log_term <= MAX_TERM
        and 0 <= message.commit <= MAX_TERM
        and (message.question is None or max(message.question.held, message.question.log) <= MAX_TERM)
        and (message.answers is None or message.answers.commit <= MAX_TERM)
    )


def entries_fit(message: Message) -> bool:
    """Whether an AppendEntries' entries follow prev_log_index, do not come from after the message's term, and hold
    configurations where they say so."""
    entries = message.entries
    if not entries:
        return True
    return (
        entries[0].index == message.index + 1
        and entries[-1].index == message.index + len(entries)
        and message.log_term <= entries[0].term
        and entries[-1].term <= message.term
        and all(one.kind is not EntryKind.CONFIGURATION or is_configuration(one) for one in entries)
    )
