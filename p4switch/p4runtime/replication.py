"""Multicast groups and clone sessions over P4Runtime: specification, "PacketReplicationEngineEntry"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from finsy.proto import p4r

from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.pipeline.entities import Replica
from p4switch.pipeline.pipeline import Pipeline

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
MAX_GROUP = 0x7FFF
"""Higher group numbers are those that v1model keeps for clone sessions."""
MAX_SESSION = 0x7FFF
MAX_INSTANCE = 0xFFFF
MAX_PORT = 0xFFFFFFFF


class ReplicationStore:
    """The packet replication engine of one pipeline; messages are kept as they were written, for reads."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._groups: dict[int, p4r.MulticastGroupEntry] = {}
        self._sessions: dict[int, p4r.CloneSessionEntry] = {}

    def write(self, kind: int, entry: p4r.PacketReplicationEngineEntry) -> None:
        """Carry out one update.

        Raises:
            RequestError: nothing was changed.
        """
        which = entry.WhichOneof("type")
        if which == "multicast_group_entry":
            self._write_group(kind, entry.multicast_group_entry)
        elif which == "clone_session_entry":
            self._write_session(kind, entry.clone_session_entry)
        else:
            raise invalid("the entry is neither a multicast group nor a clone session")

    def read(self, query: p4r.PacketReplicationEngineEntry) -> Iterator[p4r.PacketReplicationEngineEntry]:
        """The groups or sessions that a query selects; id 0 selects all."""
        which = query.WhichOneof("type")
        if which == "multicast_group_entry":
            wanted = query.multicast_group_entry.multicast_group_id
            for group_id, group in list(self._groups.items()):
                if wanted in (0, group_id):
                    yield p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
        elif which == "clone_session_entry":
            wanted = query.clone_session_entry.session_id
            for session_id, session in list(self._sessions.items()):
                if wanted in (0, session_id):
                    yield p4r.PacketReplicationEngineEntry(clone_session_entry=session)
        else:
            raise invalid("the entry is neither a multicast group nor a clone session")

    def _write_group(self, kind: int, entry: p4r.MulticastGroupEntry) -> None:
        group = entry.multicast_group_id
        _check_id(group, MAX_GROUP, "multicast group")
        _check_presence(kind, group in self._groups, f"multicast group {group}")
        if kind == DELETE:
            self._pipeline.delete_multicast_group(group)
            del self._groups[group]
            return
        self._pipeline.set_multicast_group(group, _replicas(entry.replicas))
        kept = p4r.MulticastGroupEntry()
        kept.CopyFrom(entry)
        self._groups[group] = kept

    def _write_session(self, kind: int, entry: p4r.CloneSessionEntry) -> None:
        session = entry.session_id
        _check_id(session, MAX_SESSION, "clone session")
        _check_presence(kind, session in self._sessions, f"clone session {session}")
        if kind == DELETE:
            self._pipeline.delete_clone_session(session)
            del self._sessions[session]
            return
        if not 0 <= entry.packet_length_bytes <= 0xFFFF:
            raise invalid(f"a packet length of {entry.packet_length_bytes} bytes: it must be 0 (whole) .. 65535")
        self._pipeline.set_clone_session(session, _replicas(entry.replicas), entry.packet_length_bytes)
        kept = p4r.CloneSessionEntry()
        kept.CopyFrom(entry)
        self._sessions[session] = kept


def _check_id(id: int, limit: int, kind: str) -> None:
    if id == 0:
        raise invalid(f"0 is no {kind}: it means all of them in a read")
    if id > limit:
        raise RequestError(Code.OUT_OF_RANGE, f"{kind} {id} is above the highest, {limit}")


def _check_presence(kind: int, present: bool, what: str) -> None:
    if kind == INSERT and present:
        raise RequestError(Code.ALREADY_EXISTS, f"{what} exists already")
    if kind != INSERT and not present:
        raise RequestError(Code.NOT_FOUND, f"there is no {what}")


def _replicas(given: Iterable[p4r.Replica]) -> list[Replica]:
    replicas: list[Replica] = []
    for one in given:
        if one.backup_replicas:
            raise RequestError(Code.UNIMPLEMENTED, "there are no backup replicas here")
        port = int.from_bytes(one.port, "big") if one.WhichOneof("port_kind") == "port" else one.egress_port
        if port > MAX_PORT:
            raise invalid(f"there is no port {port}")
        if one.instance > MAX_INSTANCE:
            raise invalid(f"an instance of {one.instance}: egress_rid holds 0..{MAX_INSTANCE}")
        replica = Replica(port, one.instance)
        if replica in replicas:
            raise invalid(f"port {port} with instance {one.instance} is given twice")
        replicas.append(replica)
    return replicas
