"""A client's protocol in simulated time, with a meter and a loss between it and a server that answers everything."""

from __future__ import annotations

import heapq
from collections import Counter
from random import Random

from hosts.client.calls import Call, Refused
from hosts.client.protocol import ClientProtocol
from hosts.config import Address
from hosts.net.batches import MORE, pack_batches, unpack_batch
from hosts.raft.message import Entry, EntryKind, MessageType
from hosts.service.machine import Machine
from hosts.service.requests import Operation, Request, pack_command
from hosts.wire import HEADER_BYTES, Header

SERVER: Address = ("10.0.1.1", 26410)


class Meter:
    """A token bucket; ``rate`` None lets everything through."""

    def __init__(self, rate: float | None, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._tokens, self._at = burst, 0.0

    def passes(self, now: float) -> bool:
        if self.rate is None:
            return True
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Metered:
    """``width`` clients' tasks, each of which asks for the next thing as soon as it has an answer."""

    def __init__(
        self,
        width: int,
        *,
        rate: float | None = None,
        loss: float = 0.0,
        round_trip_s: float = 0.003,
        seed: int = 1,
        timeout_s: float = 30.0,
        protocol: type[ClientProtocol] = ClientProtocol,
    ) -> None:
        self.random = Random(seed)
        self.meter = Meter(rate, max(10, (rate or 0) // 10))
        self.loss, self.round_trip_s = loss, round_trip_s
        self.protocol = protocol([SERVER], 1, Random(seed), timeout_s=timeout_s)
        self.machine = Machine()
        self.now = 100.0
        self.counts: Counter[str] = Counter()
        """Datagrams sent, over the limit and lost, and requests answered, failed and repeated."""
        self.failures: list[Call] = []
        self.down = False
        """Whether the server takes nothing."""
        self._events: list[tuple[float, int, bytes]] = []
        self._number = 0
        self._idle = width
        """Tasks that are about to ask."""

    def _ask(self) -> None:
        """Have tasks ask that have an answer, as far as the client takes that: what is 1,024 requests after one that
        is lost has to wait."""
        while self._idle:
            request = Request(self.protocol.nonce, Operation.PUT, key=b"k" * 8, value=b"v" * 64)
            try:
                self.protocol.submit(request, self.now)
            except Refused:
                self.counts["refused"] += 1
                return
            self._idle -= 1

    def run(self, seconds: float) -> Counter[str]:
        """What has happened in that time."""
        end, before = self.now + seconds, self.counts.copy()
        while True:
            self._settle()
            at = min(self.protocol.timer, self._events[0][0] if self._events else end)
            if at >= end:
                self.now = end
                return self.counts - before
            self.now = max(self.now, at)
            if self._events and self._events[0][0] <= self.now:
                self.protocol.receive(heapq.heappop(self._events)[2], SERVER, self.now)
            if self.now >= self.protocol.timer:
                # Timers are as late as a poll in whole milliseconds.
                self.now += self.random.random() * 0.001
                self.protocol.handle_timer(self.now)

    def _settle(self) -> None:
        while True:
            self._ask()
            for datagram, _ in self.protocol.datagrams_to_send():
                self._leave(datagram)
            finished = self.protocol.take_finished()
            if not finished:
                return
            for call in finished:
                self.counts["answered" if call.failure is None else "failed"] += 1
                if call.failure is not None:
                    self.failures.append(call)
            self._idle += len(finished)

    def _leave(self, datagram: bytes) -> None:
        self.counts["sent"] += 1
        if not self.meter.passes(self.now):
            self.counts["over"] += 1
        elif self.random.random() < self.loss or self.down:
            self.counts["lost"] += 1
        else:
            for answer in self._answers(datagram):
                late = self.round_trip_s * (0.9 + 0.2 * self.random.random())
                self._number += 1
                if self.random.random() >= self.loss:
                    heapq.heappush(self._events, (self.now + late, self._number, answer))

    def _answers(self, datagram: bytes) -> list[bytes]:
        header, payload = Header.unpack(datagram), datagram[HEADER_BYTES:]
        parts = list(unpack_batch(payload)) if header.flags & MORE else [(header.index, payload)]
        replies = []
        for sequence, part in parts:
            data = pack_command(header.log_term, sequence, header.commit, part)
            applied = self.machine.apply(Entry(1, self.machine.applied_index + 1, EntryKind.COMMAND, data))
            assert applied is not None
            replies.append((sequence, applied.reply.pack()))
        kind = MessageType.CLIENT_REPLY
        return [
            Header(kind, source=1, group=1, index=index, log_term=header.log_term, flags=more).pack() + packed
            for index, more, packed in pack_batches(replies)
        ]
