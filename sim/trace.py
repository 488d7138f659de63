"""What happened: a hash of all of it, and on request lines for people."""

from __future__ import annotations

from hashlib import blake2b

from hosts.raft.message import MessageType
from hosts.service.requests import Operation, Outcome
from hosts.wire import HEADER_BYTES, PEER_PREFIX_BYTES, Flag, Header, WireError, flag_names
from sim.events import SECOND


class Trace:
    """``wanted``: whether lines are kept. The hash is the same either way."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.lines: list[str] = []
        self._hash = blake2b(digest_size=16)

    def add(self, stamp: bytes, data: bytes) -> None:
        self._hash.update(stamp + data)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def note(self, now_us: int, who: str, text: str) -> None:
        """Something worth a line."""
        self._hash.update(f"{now_us} {who}: {text}".encode())
        if self.wanted:
            self.lines.append(f"{now_us / SECOND:10.6f} {who:>10}  {text}")

    def datagram(self, now_us: int, source: str, host: str, datagram: bytes) -> None:
        """A datagram arrives."""
        self.lines.append(f"{now_us / SECOND:10.6f} {source:>10}  -> {host}: {describe(datagram)}")


def describe(datagram: bytes) -> str:
    """A datagram in words."""
    try:
        header = Header.unpack(datagram)
    except WireError as error:
        return f"{len(datagram)} bytes: {error}"
    kind = MessageType(header.type)
    name = kind.name.lower()
    flags = Flag(header.flags)
    mark = "".join(f" {name}" for name in flag_names(header.type, header.flags) if name in ("REJECT", "LEASE"))
    mark += " fragment" if Flag.FRAGMENT in flags else ""
    who = f"group {header.group}"
    payload = datagram[HEADER_BYTES:]
    if kind is MessageType.CLIENT_REQUEST:
        operation = payload[8] if len(payload) > 8 and Flag.FRAGMENT not in flags else 0
        what = Operation(operation).name.lower() if operation in set(Operation) else ""
        return f"{name}{mark} {what} {who} session {header.log_term} sequence {header.index}"
    if kind is MessageType.CLIENT_REPLY:
        outcome = payload[8] if len(payload) > 8 and Flag.FRAGMENT not in flags else 0
        said = Outcome(outcome).name.lower() if outcome in set(Outcome) else ""
        return f"{name}{mark} {said} {who} session {header.log_term} sequence {header.index}"
    if kind >= MessageType.CLIENT_REQUEST:
        return f"{name}{mark} {who}"
    entries = len(payload) - PEER_PREFIX_BYTES
    return (
        f"{name}{mark} {who} {header.source}->{header.target} term {header.term} index {header.index} "
        f"log_term {header.log_term} commit {header.commit}" + (f" +{entries} bytes" if entries > 0 else "")
    )
