"""What a member has to say, sorted by what must be durable before it leaves."""

from __future__ import annotations

from dataclasses import replace

from hosts.raft.message import Message, MessageType, Question

_VOTES = frozenset({MessageType.PRE_VOTE_REPLY, MessageType.REQUEST_VOTE_REPLY})


class Outbox:
    """``now`` may leave whatever the disk does; ``after`` only once all that was decided so far is durable."""

    __slots__ = ("_id", "_log_id", "after", "names_log", "now")

    def __init__(self, member: int, log_id: int) -> None:
        self._id = member
        self._log_id = log_id
        self.names_log = True
        """Whether every answer says out of which log it is, and not only votes: as long as the members have not
        agreed on that, as far as is known here. So long a ReadIndex names none."""
        self.now: list[Message] = []
        self.after: list[Message] = []

    def answer(
        self,
        request: Message,
        kind: MessageType,
        term: int,
        *,
        index: int = 0,
        log_term: int = 0,
        commit: int = 0,
        reject: bool = False,
        at_once: bool = False,
        gather: bool = False,
    ) -> None:
        """Answer a request, in its round. ``at_once``: what it says does not wait for the disk."""
        reply = Message(
            kind,
            self._id,
            request.source,
            term,
            index,
            log_term,
            commit,
            reject,
            round=request.round,
            log_id=self._log_id if self.names_log or kind in _VOTES else 0,
            gather=gather,
        )
        (self.now if at_once else self.after).append(reply)

    def acknowledge(self, request: Message, term: int, matched: int) -> None:
        """Acknowledge entries once they are durable. Those of one batch share one acknowledgement, which may be
        gathered if all of them may."""
        gather = request.gather
        if self.after:
            last = self.after[-1]
            if (
                last.type is MessageType.APPEND_ENTRIES_REPLY
                and not last.reject
                and last.target == request.source
                and last.term == term
            ):
                self.after.pop()
                matched = max(matched, last.index)
                gather = gather and last.gather
        self.answer(request, MessageType.APPEND_ENTRIES_REPLY, term, index=matched, gather=gather)

    def carry(self, question: Message) -> bool:
        """Have the last answer to an AppendEntries that may leave now ask a ReadIndex of its receiver. False if there
        is none. None that the network may gather: it has no room."""
        for place in reversed(range(len(self.now))):
            reply = self.now[place]
            is_answer = reply.type is MessageType.APPEND_ENTRIES_REPLY and reply.question is None
            if is_answer and (reply.target, reply.term) == (question.target, question.term) and not reply.gather:
                rides = Question(question.round, question.index, question.commit)
                self.now[place] = replace(reply, question=rides)
                return True
        return False
