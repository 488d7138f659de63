"""What a packet is copied to: multicast groups and clone sessions of a loaded program."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence

from p4switch.errors import BadValue, NoSuchEntry
from p4switch.pipeline.encoding import check
from p4switch.pipeline.entities import Replica
from p4switch.pipeline.table_state import Native


class Copies:
    """The part of a Pipeline that holds them."""

    native: Native
    _lock: threading.RLock

    def __init__(self) -> None:
        self._groups: dict[int, tuple[Replica, ...]] = {}
        self._sessions: dict[int, tuple[tuple[Replica, ...], int]] = {}

    def _replicas(self, session: bool, which: int, replicas: Sequence[Replica] | None, truncate: int = 0) -> None:
        flat = None
        if replicas is not None:
            pairs = [check(v, 32, "a replica") for r in replicas for v in (r.port, r.instance)]
            flat = (ctypes.c_uint32 * (len(pairs) or 1))(*pairs)
        count = len(replicas or ())
        if not self.native.library.p4_edit_replicas(self.native.switch, session, which, count, flat, truncate):
            raise MemoryError

    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None:
        """Create or replace; group 1..65535."""
        if not 1 <= group <= 65535:
            raise BadValue(f"multicast group {group} is not within 1..65535")
        with self._lock:
            self._replicas(False, group, replicas)
            self._groups[group] = tuple(replicas)

    def delete_multicast_group(self, group: int) -> None:
        with self._lock:
            if group not in self._groups:
                raise NoSuchEntry(f"there is no multicast group {group}")
            self._replicas(False, group, None)
            del self._groups[group]

    def multicast_groups(self) -> dict[int, tuple[Replica, ...]]:
        with self._lock:
            return dict(self._groups)

    def set_clone_session(self, session: int, replicas: Sequence[Replica], truncate_bytes: int = 0) -> None:
        """Create or replace; session 0..32767; truncate_bytes 0: whole packets."""
        if not 0 <= session <= 32767:
            raise BadValue(f"clone session {session} is not within 0..32767")
        with self._lock:
            self._replicas(True, session, replicas, check(truncate_bytes, 32, "truncate_bytes"))
            self._sessions[session] = (tuple(replicas), truncate_bytes)

    def delete_clone_session(self, session: int) -> None:
        with self._lock:
            if session not in self._sessions:
                raise NoSuchEntry(f"there is no clone session {session}")
            self._replicas(True, session, None)
            del self._sessions[session]

    def clone_sessions(self) -> dict[int, tuple[tuple[Replica, ...], int]]:
        with self._lock:
            return dict(self._sessions)
