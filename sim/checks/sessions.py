"""What a group may tell clients about sessions, by a model of its own: which sequences were ever carried out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hosts.raft.message import Entry
from hosts.service.requests import WRITES, Command, Operation, Outcome, Reply

Fail = Callable[[str, str], None]

_WITHOUT_SESSION = (Outcome.UNKNOWN_SESSION, Outcome.SESSION_EXPIRED)


class Told:
    """Looks at each entry of a group and its answer, once. Of ``traces`` forgotten sessions a trace stays."""

    def __init__(self, traces: int, fail: Fail) -> None:
        self._traces = traces
        self._fail = fail
        self._opened: dict[int, int] = {}
        """Each session's nonce."""
        self._carried_out: defaultdict[int, set[int]] = defaultdict(set)
        self._given_up: defaultdict[int, int] = defaultdict(int)
        """By session: the client waits for no sequence up to this one."""
        self._values: set[bytes] = set()
        """Values that were written: no two writes of the simulator's clients have the same."""

    def look(self, entry: Entry, reply: Reply) -> None:
        """An entry was applied, and this is the answer to it."""
        command = Command.unpack(entry.data)
        session, sequence = command.session, command.sequence
        if command.request.operation is Operation.OPEN_SESSION:
            self._opened.setdefault(entry.index, command.request.nonce)
            return
        carried_out = self._carried_out[session]
        if reply.outcome is Outcome.OK and reply.index == entry.index and command.request.operation in WRITES:
            if sequence in carried_out:
                self._fail("carried out once", f"entry {entry.index} carries out {sequence} of {session} again")
            carried_out.add(sequence)
            self._writes(entry, bytes(command.request.value))
        elif reply.outcome is Outcome.SESSION_EXPIRED and sequence in carried_out:
            self._fail("expired is not carried out", f"entry {entry.index}: {sequence} of {session} was")
        elif reply.outcome is Outcome.UNKNOWN_SESSION and self._opened.get(session) == command.request.nonce:
            doubtful = max((*carried_out, self._given_up[session]))
            if sequence > doubtful and len(self._opened) <= self._traces:
                self._fail(
                    "a forgotten session leaves a trace",
                    f"entry {entry.index}: {sequence} of {session} is in doubt, which got to {doubtful}",
                )
        if reply.outcome not in _WITHOUT_SESSION:
            self._given_up[session] = max(self._given_up[session], command.lowest - 1)

    def _writes(self, entry: Entry, value: bytes) -> None:
        """Whatever the session: a client repeats nothing under another that was carried out."""
        if value and value in self._values:
            self._fail("carried out once", f"entry {entry.index} writes {value[:40]!r} again")
        self._values.add(value)
