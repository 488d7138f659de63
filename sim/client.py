"""A client in simulated time: the client's own protocol, with the simulator's network and clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import Any

from hosts.client.calls import Call, Overloaded, Refused
from hosts.client.protocol import ClientProtocol
from hosts.config import Address
from hosts.service.requests import Operation, Outcome, Request
from hosts.wire import HEADER_BYTES, Flag, Header
from sim.events import SECOND
from sim.network import Network
from sim.scene import Scene
from sim.violation import Violation

_FLAGS_AT = 2
_MORE, _READ = int(Flag.MORE), int(Flag.READ)

Done = Callable[[Call], None]


class Client:
    """One client of one group. ``done`` is told of each call that has a reply or a failure."""

    protocol = ClientProtocol

    def __init__(
        self,
        scene: Scene,
        network: Network,
        name: str,
        host: str,
        port: int,
        group: int,
        servers: list[Address],
        *,
        steer: bool,
        spread: bool = True,
    ) -> None:
        self._scene = scene
        self._counts = scene.counts
        self._network = network
        self.name = name
        self.host = host
        self.port = port
        self.group = group
        self._events = scene.events
        self._protocol = self.protocol(
            servers, group, Random(f"client/{scene.plan.seed}/{name}"), steer=steer, spread=spread
        )
        self._done: dict[Call, Done] = {}
        self._wake_at = 1 << 62

    @property
    def now(self) -> float:
        return self._events.now / SECOND

    @property
    def nonce(self) -> int:
        """What its requests carry."""
        return self._protocol.nonce

    @property
    def session(self) -> int:
        """The number of the client's session, 0 while it has none."""
        return self._protocol.session

    def counts(self) -> dict[str, int]:
        """What the protocol has counted."""
        return {name: count for name, count in self._protocol.counters.items() if name != "drops"} | {
            "dropped by clients": self._protocol.counters["drops"]
        }

    def submit(self, operation: Operation, patience_s: float, done: Done, **operands: Any) -> None:
        """Begin a request. What is begun at the same moment goes together."""
        call = self._protocol.submit(Request(self._protocol.nonce, operation, **operands), self.now, patience_s)
        self._done[call] = done
        if self._scene.observer is not None:
            self._scene.observer.called(self, call)
        self._events.after(0, self._settle)

    def receive(self, datagram: bytes, address: Address) -> None:
        """A datagram arrives."""
        self._counts["answers together"] += _is_batch(datagram)
        self._protocol.receive(datagram, address, self.now)
        self._settle()

    def _settle(self) -> None:
        """Send what the protocol has to say, tell of what is done, and look again when it wants to."""
        for datagram, address in self._protocol.datagrams_to_send():
            self._counts["requests together"] += _is_batch(datagram)
            self._network.send(self.host, self.port, address, datagram)
        for call in self._protocol.take_finished():
            if self._scene.observer is not None:
                self._scene.observer.answered(self, call)
            self._check(call)
            self._done.pop(call)(call)
        due = max(int(self._protocol.timer * SECOND) + 1, self._events.now + 1)
        if due < self._wake_at:
            self._wake_at = due
            self._events.at(due, self._wake, due)

    def _wake(self, due: int) -> None:
        if due == self._wake_at:
            self._wake_at = 1 << 62
            self._protocol.handle_timer(self.now)
            self._settle()

    def _check(self, call: Call) -> None:
        """Nobody tells a client that keeps to the rules that it does not."""
        self._counts["calls refused for the answers that are kept"] += _keeps_too_much(call)
        if isinstance(call.failure, Refused):
            raise Violation("sessions", f"{self.name} cannot open one: {call.failure}")
        if call.reply is not None:
            self._counts["answered"] += 1
            if call.reply.outcome is not Outcome.OK:
                told = f"{call.reply.outcome.name} of {call.request}: {call.reply.text}"
                raise Violation("sessions", f"{self.name} is told {told}")


class RovingProtocol(ClientProtocol):
    """That of a client which sends what may be spread to any member, as if a switch had done so; and which says of
    some writes that they read."""

    def __init__(self, servers: Iterable[Address], group: int, random: Random, **options: Any) -> None:
        super().__init__(servers, group, random, **options)
        self._roves = Random(random.getrandbits(64))

    def _header(self, call: Call, sequence: int | None = None, more: int = 0) -> Header:
        header = super()._header(call, sequence, more)
        if call.tries == 1 and call.session and not call.spread and self._roves.random() < 0.2:
            self.counters["writes that say they read"] += 1
            return replace(header, flags=header.flags | _READ)
        return header

    def _put(self, datagram: bytes, address: Address) -> None:
        if len(datagram) > _FLAGS_AT and datagram[_FLAGS_AT] & _READ:
            address = self._roves.choice(self.servers.everyone())
        super()._put(datagram, address)


class Rover(Client):
    """A client that needs no switch to have its reads spread."""

    protocol = RovingProtocol


class HoardingProtocol(ClientProtocol):
    """That of a client which never says that it has an answer."""

    def _header(self, call: Call, sequence: int | None = None, more: int = 0) -> Header:
        header = super()._header(call, sequence, more)
        return replace(header, commit=min(header.commit, 1))


class Hoarder(Client):
    """A client for which a group would keep every answer."""

    protocol = HoardingProtocol


def _keeps_too_much(call: Call) -> bool:
    return isinstance(call.failure, Overloaded) and "answers are kept" in str(call.failure)


def _is_batch(datagram: bytes) -> bool:
    return len(datagram) > HEADER_BYTES and datagram[_FLAGS_AT] & _MORE != 0
