"""What the simulator's parts tell whoever looks on at a run, such as a ``sim.recorder.Recorder``."""

from __future__ import annotations

from typing import Any, Protocol

from hosts.client.calls import Call
from hosts.config import Address
from p4switch.pipeline.entities import Output
from sim.plan import Fault


class Observer(Protocol):
    """Looks on. Nothing of a run depends on it."""

    def sent(self, host: str, port: int, target: Address, datagram: bytes) -> None:
        """A datagram leaves a host's interface."""

    def sent_raw(self, host: str, frame: bytes) -> None:
        """A host sends bytes that need not be a datagram."""

    def step(self, switch: Any, port: int, frame: bytes, now_us: int) -> Output:
        """Do what the switch's pipeline does with a frame."""

    def late_on_link(self, switch: str, port: int, frame: bytes) -> None:
        """A frame will enter a switch later."""

    def lost(self, where: str, why: str) -> None:
        """The present datagram, or a copy of it, ends."""

    def leaving(self, source: Address, datagram: bytes) -> None:
        """The present datagram will arrive at a host, or not."""

    def received(self, host: str, port: int, source: Address, datagram: bytes) -> None:
        """A datagram arrives at a host."""

    def note(self, who: str, text: str) -> None:
        """Somebody has written a line."""

    def called(self, client: Any, call: Call) -> None:
        """A client asks for something."""

    def answered(self, client: Any, call: Call) -> None:
        """A call has a reply, or is given up."""

    def strikes(self, fault: Fault) -> int:
        """A fault begins; its number."""

    def healed(self, fault: int) -> None:
        """A fault is over."""

    def end(self, failure: str, rule: str, digest: str) -> None:
        """The run is over."""
