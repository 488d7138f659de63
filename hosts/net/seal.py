"""Proof that a datagram between members comes from one who has the cluster's key, and that it is no replay.

A sealed datagram ends with ``boot:64 counter:64 mac:128``. The MAC is a keyed BLAKE2b over the cluster id and all
that stands before it; of a FANOUT copy as if its target were still everybody, because switches write that field.
Every datagram of a member's life has a counter of its own, and every life a higher boot number, so a receiver needs
one window for each sender. A receiver that has just started knows no boot numbers yet: until it has heard a sender,
it takes what that one sent in an earlier life. Raft bears that, as it bears any message that comes late or twice.

One key proves membership, not which member.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
from pathlib import Path

from hosts.files.checked_file import UnreadableFile, read_bytes
from hosts.raft.message import EVERYBODY
from hosts.storage.atomic_file import replace_text
from hosts.wire import Flag

MIN_KEY_BYTES = 16
MAX_KEY_BYTES = 4096
MAC_BYTES = 16
SEAL_BYTES = 32
WINDOW = 1024
"""Datagrams of one sender, counted from the newest, that may still come late."""

_WINDOW_MASK = (1 << WINDOW) - 1
_COUNT = struct.Struct(">QQ")
_CLUSTER = struct.Struct(">Q")
_FANOUT = int(Flag.FANOUT)
_FLAGS_AT, _TARGET_AT = 2, 4


class KeyFault(ValueError):
    """A key file that cannot be used; the text says what to do."""


def read_key(path: str | Path) -> bytes:
    """The key in a file: its content less surrounding whitespace, at least MIN_KEY_BYTES long. Raises KeyFault."""
    try:
        content = read_bytes(path, MAX_KEY_BYTES).strip()
    except UnreadableFile as fault:
        raise KeyFault(f"{fault}; 'key_file' in the cluster file names it") from fault
    if len(content) < MIN_KEY_BYTES:
        raise KeyFault(
            f"{path}: {len(content)} bytes are too short for a key, which takes {MIN_KEY_BYTES} or more; "
            f"make one with: openssl rand -hex 32 > {path}"
        )
    return hashlib.blake2b(content, digest_size=32, person=b"switchraft key").digest()


def next_boot(path: Path) -> int:
    """A number for this life of a member, higher than those of all lives before, which ``path`` remembers: the time
    in nanoseconds, or one more than the last where the clock went back. Raises OSError."""
    try:
        last = int(path.read_text())
    except (FileNotFoundError, ValueError):
        last = 0
    boot = max(time.time_ns(), last + 1)
    replace_text(path, f"{boot}\n")
    return boot


class Window:
    """Which of a sender's datagrams have come: its boot number, its highest counter, and a bit for each below."""

    __slots__ = ("boot", "highest", "seen")

    def __init__(self, boot: int) -> None:
        self.boot = boot
        self.highest = 0
        self.seen = 0

    def admit(self, boot: int, counter: int) -> bool:
        """Note a datagram that is surely the sender's. False if it came before, or is too old to tell."""
        if boot != self.boot:
            if boot < self.boot:
                return False
            self.boot, self.highest, self.seen = boot, counter, 1
            return True
        ahead = counter - self.highest
        if ahead > 0:
            self.seen = ((self.seen << ahead) | 1) & _WINDOW_MASK if ahead < WINDOW else 1
            self.highest = counter
            return True
        bit = 1 << -ahead
        if ahead <= -WINDOW or self.seen & bit:
            return False
        self.seen |= bit
        return True


class Seal:
    """Seals what one member sends and checks what others have sealed. ``boot`` is from ``next_boot``."""

    def __init__(self, key: bytes, cluster: int, boot: int) -> None:
        self._keyed = hashlib.blake2b(
            _CLUSTER.pack(cluster), key=key, digest_size=MAC_BYTES, person=b"switchraft mac"
        )
        self._boot = boot
        self._counter = 0
        self._windows: dict[int, Window] = {}
        named = hashlib.blake2b(_CLUSTER.pack(cluster), key=key, digest_size=8, person=b"cluster number")
        self.cluster = int.from_bytes(named.digest(), "big")
        """Stands for the cluster id in payloads, so that members without a key take nothing of those with one."""

    def close_up(self, datagram: bytes) -> bytes:
        """The datagram with its trailer."""
        self._counter += 1
        body = datagram + _COUNT.pack(self._boot, self._counter)
        return body + self._mac(body)

    def is_right(self, datagram: bytes) -> bool:
        """Whether a datagram of at least a header's length ends with the MAC that belongs to it."""
        return hmac.compare_digest(self._mac(datagram[:-MAC_BYTES]), datagram[-MAC_BYTES:])

    def is_new(self, source: int, datagram: bytes) -> bool:
        """Whether a datagram that is right has not come from ``source`` before; notes that it has now."""
        boot, counter = _COUNT.unpack_from(datagram, len(datagram) - SEAL_BYTES)
        window = self._windows.get(source)
        if window is None:
            window = self._windows[source] = Window(boot)
        return window.admit(boot, counter)

    def _mac(self, body: bytes) -> bytes:
        mac = self._keyed.copy()
        if body[_FLAGS_AT] & _FANOUT:
            mac.update(body[:_TARGET_AT])
            mac.update(bytes((EVERYBODY,)))
            mac.update(body[_TARGET_AT + 1 :])
        else:
            mac.update(body)
        return mac.digest()
