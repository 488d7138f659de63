"""Who may write: P4Runtime specification, "Client Arbitration and Controller Replication".

Pure: streams are opaque keys, answers are returned as (stream, message) pairs in the order in which they must leave.
For each role the primary is the live stream whose election id equals the highest one that ever arrived; after it has
gone there is none until a stream asks with that id or a higher one.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from finsy.proto import p4r

from p4switch.p4runtime.errors import Code, RequestError, invalid

MAX_STREAMS = 64
"""Live streams of one role; the specification wants some limit."""

Notice = tuple[Hashable, p4r.MasterArbitrationUpdate]


@dataclass
class _Role:
    """The live streams of a role with their election ids (None: unset, never primary)."""

    config: p4r.Role = field(default_factory=p4r.Role)
    named: bool = False
    streams: dict[Hashable, int | None] = field(default_factory=dict)
    highest: int | None = None

    def primary(self) -> Hashable | None:
        if self.highest is None:
            return None
        return next((stream for stream, election_id in self.streams.items() if election_id == self.highest), None)


class Arbiter:
    """The arbitration of one device."""

    def __init__(self, device_id: int) -> None:
        self.device_id = device_id
        self._roles: dict[str, _Role] = {"": _Role()}
        self._role_of: dict[Hashable, str] = {}

    def primary(self, role: str = "") -> Hashable | None:
        """The stream of a role's primary."""
        state = self._roles.get(role)
        return state.primary() if state else None

    def primaries(self) -> list[tuple[str, Hashable]]:
        """(role, stream) of every primary; the default role's first."""
        found = ((name, state.primary()) for name, state in self._roles.items())
        return [(name, stream) for name, stream in found if stream is not None]

    def role_of(self, stream: Hashable) -> str | None:
        """A live stream's role; None before its first arbitration."""
        return self._role_of.get(stream)

    def check_writer(self, role: str, election_id: int | None) -> None:
        """Let only the primary pass.

        Raises:
            RequestError: NOT_FOUND for an unknown role, PERMISSION_DENIED for a client that is not its primary.
        """
        state = self._roles.get(role)
        if state is None:
            raise RequestError(Code.NOT_FOUND, f"no client ever had the role {role!r}")
        if election_id is None or election_id != state.highest or state.primary() is None:
            raise RequestError(Code.PERMISSION_DENIED, "not primary: another client, or none, may write")

    def update(self, stream: Hashable, message: p4r.MasterArbitrationUpdate) -> list[Notice]:
        """Take a stream's arbitration message.

        Raises:
            RequestError: with the code that the stream must be ended with.
        """
        name = message.role.name
        election_id = election_number(message.election_id) if message.HasField("election_id") else None
        self._check(stream, name, election_id, message.device_id)
        state = self._roles.setdefault(name, _Role())
        if stream not in state.streams and len(state.streams) >= MAX_STREAMS:
            raise RequestError(Code.RESOURCE_EXHAUSTED, f"{MAX_STREAMS} streams of this role are open already")
        was_primary = state.primary() == stream
        state.streams[stream] = election_id
        self._role_of[stream] = name
        if election_id is not None and (state.highest is None or election_id >= state.highest):
            state.highest = election_id
            state.config = message.role
            state.named = message.HasField("role")
            return self._notices(state, last=stream)
        if was_primary:
            return self._notices(state)
        return [(stream, self._notice(state, stream))]

    def leave(self, stream: Hashable) -> list[Notice]:
        """Take note that a stream has ended."""
        name = self._role_of.pop(stream, None)
        if name is None:
            return []
        state = self._roles[name]
        was_primary = state.primary() == stream
        del state.streams[stream]
        return self._notices(state) if was_primary else []

    def _check(self, stream: Hashable, role: str, election_id: int | None, device_id: int) -> None:
        known = self._role_of.get(stream)
        if device_id != self.device_id:
            code = Code.NOT_FOUND if known is None else Code.FAILED_PRECONDITION
            raise RequestError(code, f"this is device {self.device_id}, not {device_id}")
        if known is not None and known != role:
            raise RequestError(
                Code.FAILED_PRECONDITION, f"this stream has the role {known!r}: open another for {role!r}"
            )
        state = self._roles.get(role)
        if state is None or election_id is None:
            return
        if any(other != stream and taken == election_id for other, taken in state.streams.items()):
            raise invalid(f"Election id {election_id} is already used by another connection with the same role")

    def _notices(self, state: _Role, last: Hashable | None = None) -> list[Notice]:
        """A notice for each stream of the role; the new primary's comes last."""
        order = sorted(state.streams, key=lambda stream: stream == last)
        return [(stream, self._notice(state, stream)) for stream in order]

    def _notice(self, state: _Role, stream: Hashable) -> p4r.MasterArbitrationUpdate:
        notice = p4r.MasterArbitrationUpdate(device_id=self.device_id)
        name = self._role_of[stream]
        if name or state.named:
            notice.role.CopyFrom(state.config)
            notice.role.name = name
        if state.highest is not None:
            notice.election_id.high = state.highest >> 64
            notice.election_id.low = state.highest & (1 << 64) - 1
        primary = state.primary()
        if primary is None:
            notice.status.code, notice.status.message = Code.NOT_FOUND, "there is no primary"
        elif primary == stream:
            notice.status.code, notice.status.message = Code.OK, "you are the primary"
        else:
            notice.status.code, notice.status.message = Code.ALREADY_EXISTS, "you are a backup"
        return notice


def election_number(message: p4r.Uint128) -> int:
    """The 128-bit number."""
    return message.high << 64 | message.low
