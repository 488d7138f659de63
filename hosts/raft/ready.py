"""What the core asks of its caller."""

from __future__ import annotations

from hosts.raft.configuration import Configuration
from hosts.raft.frozen import frozen_dataclass
from hosts.raft.message import Entry, HardState, Message
from hosts.raft.snapshot import Snapshot


@frozen_dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """What must be done now. Several may be outstanding; those that need the disk become durable in their order."""

    messages: tuple[Message, ...]
    """May leave at once, whatever the disk does."""
    hard_state: HardState | None
    """To make durable together with ``entries``; None if it has not changed."""
    entries: tuple[Entry, ...]
    """To make durable; they replace everything from ``entries[0].index`` on."""
    after: tuple[Message, ...]
    """Leave only once this Ready and all before it are durable: votes, vote requests, acknowledgements."""
    committed: tuple[Entry, ...]
    """To apply, in order. They may be applied before the own disk holds them: a quorum does."""
    reads: tuple[tuple[int, int], ...] = ()
    """(number, index): the read of that number may be answered once everything up to that index is applied."""
    snapshot: Snapshot | None = None
    """To make durable before ``entries``, in place of the whole log; and the state machine becomes its data before
    ``committed`` is applied."""
    configuration: Configuration | None = None
    """The latest in the log, if that is another one than before: learn its addresses before ``messages`` leave."""
    committed_configuration: Configuration | None = None
    """The latest committed one, if that is another one than before: tell the network."""

    @property
    def needs_disk(self) -> bool:
        """Whether ``advance`` is waited for. A Ready with ``after`` alone only queues behind earlier ones."""
        return self.hard_state is not None or bool(self.entries) or self.snapshot is not None
