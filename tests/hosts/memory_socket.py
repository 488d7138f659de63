"""A UDP socket in memory, as much of one as a transport uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from hosts.config import Address
from hosts.net.udp import BATCH, Datagram, Refusal

Carry = Callable[[bytes, Address], None]


class MemorySocket:
    """``waiting`` is what has come. What is sent ``carry`` takes, by default into ``sent``."""

    def __init__(self, carry: Carry | None = None) -> None:
        self.waiting: deque[tuple[bytes, Address]] = deque()
        self.sent: list[tuple[bytes, Address]] = []
        self.refusals: list[Refusal] = []
        self._carry = carry or (lambda datagram, address: self.sent.append((datagram, address)))

    def receive(self) -> Sequence[tuple[Datagram, Address]]:
        return [self.waiting.popleft() for _ in range(min(len(self.waiting), BATCH))]

    def send(self, datagram: bytes, address: Address) -> None:
        self._carry(datagram, address)

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        for datagram in datagrams:
            self._carry(datagram, address)
        return len(datagrams)

    def take_refusals(self) -> Sequence[Refusal]:
        taken, self.refusals = self.refusals, []
        return taken

    def fileno(self) -> int:
        raise OSError("there is no descriptor")

    def close(self) -> None:
        """Nothing is held."""
