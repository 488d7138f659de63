"""Paths between member processes on loopback: every datagram between two of them goes through a ``Path``.

Members are reached, and know each other, at 127.0.0.1, 127.0.0.2, ... as ever; there this proxy listens. Each
member's own socket is at 127.1.0.1, 127.1.0.2, ... (``proxied_node`` sees to that). What it sends to another's
address goes on from its own public one: so each sees the other where the cluster file says. Clients' datagrams pass
at once.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bench.consensus.loopback import NodeProcesses
from bench.consensus.path import Path, Quality
from hosts.config import Address

SOCKET_BYTES = 4 << 20
MOST_AT_ONCE = 64
MOST_CLIENTS = 512
PERFECT = Quality()


def real_host(member: int) -> str:
    """Where a member's own socket is bound."""
    return f"127.1.0.{member}"


class Proxy:
    """The paths between ``members``, each reached at its public address, from ``start`` to ``stop``."""

    def __init__(self, public: dict[int, Address], quality: Quality, seed: int) -> None:
        """Raises OSError where one of the addresses is in use."""
        self.paths = {
            (source, target): Path(quality, seed * 65_536 + source * 256 + target)
            for source in public
            for target in public
            if source != target
        }
        self._real = {(real_host(member), address[1]): member for member, address in public.items()}
        self._at = {member: address for address, member in self._real.items()}
        self._sockets = {member: _bound(address) for member, address in public.items()}
        self._clients: dict[tuple[Address, int], socket.socket] = {}
        self._waiting: list[tuple[float, int, socket.socket, bytes, Address]] = []
        self._numbers = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._going = True
        self._thread = threading.Thread(target=self._run, name="paths", daemon=True)
        for member, opened in self._sockets.items():
            self._selector.register(opened, selectors.EVENT_READ, (member, None))
        self._selector.register(self._wake, selectors.EVENT_READ, None)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What is under way is lost."""
        self._going = False
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for opened in (*self._sockets.values(), *self._clients.values()):
            opened.close()
        self._selector.close()
        os.close(self._wake)

    def change(self, pairs: Iterable[tuple[int, int]] | None = None, **qualities: Any) -> None:
        """From now on let some directions, (source, target), or all, have other fields of ``Quality``."""
        for pair in self.paths if pairs is None else pairs:
            path = self.paths[pair]
            path.quality = replace(path.quality, **qualities)

    def counts(self) -> Counter[str]:
        """Of all directions together."""
        return sum((path.counts for path in self.paths.values()), Counter())

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._going:
            wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
            for key, _ in self._selector.select(wait if wait is None or wait > 0 else 0):
                if key.data is not None:
                    self._drain(key.fileobj, *key.data)
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                _, _, opened, datagram, address = heapq.heappop(self._waiting)
                _send(opened, datagram, address)

    def _drain(self, opened: Any, member: int, client: Address | None) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                datagram, address = opened.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:  # an ICMP message: nobody is there now
                continue
            if client is not None:
                _send(self._sockets[member], datagram, client)
            elif address in self._real:
                self._pass_on(self._real[address], member, datagram)
            else:
                self._from_client(address, member, datagram)

    def _pass_on(self, source: int, target: int, datagram: bytes) -> None:
        if source == target:
            return
        now = time.monotonic()
        for due in self.paths[source, target].take(len(datagram), now):
            entry = (due, next(self._numbers), self._sockets[source], datagram, self._at[target])
            heapq.heappush(self._waiting, entry)

    def _from_client(self, client: Address, member: int, datagram: bytes) -> None:
        opened = self._clients.get((client, member))
        if opened is None:
            if len(self._clients) >= MOST_CLIENTS:
                self._forget(next(iter(self._clients)))
            opened = self._clients[client, member] = _bound(("127.0.0.1", 0))
            self._selector.register(opened, selectors.EVENT_READ, (member, client))
        _send(opened, datagram, self._at[member])

    def _forget(self, flow: tuple[Address, int]) -> None:
        opened = self._clients.pop(flow)
        self._selector.unregister(opened)
        opened.close()


def _bound(address: Address) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        opened.setsockopt(socket.SOL_SOCKET, option, SOCKET_BYTES)
    try:
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened


def _send(opened: socket.socket, datagram: bytes, address: Address) -> None:
    """A full socket, or one to which nobody listens, loses it, as a network does."""
    with contextlib.suppress(OSError):
        opened.sendto(datagram, address)


class OverPaths(NodeProcesses):
    """Members whose datagrams to each other go through ``proxy``: a base beside another ``NodeProcesses``."""

    proxy: Proxy
    _are_open = False

    def open_paths(self, quality: Quality = PERFECT, seed: int = 0) -> None:
        """Before the first member starts."""
        self.proxy = Proxy({member: self.address(member) for member in self.members}, quality, seed)
        self.proxy.start()
        self._are_open = True

    def node_command(self, member: int) -> list[str]:
        words = super().node_command(member)
        at = words.index("hosts.node")
        command = [sys.executable, "-m", "bench.consensus.proxied_node", self.host(member), real_host(member)]
        return [*command, *words[at + 1 :]]

    def stop(self) -> None:
        super().stop()
        if self._are_open:
            self._are_open = False
            self.proxy.stop()
