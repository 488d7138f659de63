"""What a client keeps while it waits: each request on its way to an answer, and what is known of those it asks.

Times are seconds of any monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from hosts.config import Address
from hosts.service.requests import Outcome, Reply, Request
from hosts.service.values import Value

FIRST_PATIENCE_S = 0.2
MAX_PATIENCE_S = 1.0
"""A request is repeated after so long without an answer. The wait doubles from the first to the largest."""

MAX_FIRST_PATIENCE_S = 5.0
"""The first wait is longer where answers take longer, up to this."""

FIRST_BACKOFF_S = 0.02
MAX_BACKOFF_S = 0.2
"""The pause after an answer that says "not now". It doubles from the first to the largest."""

PATIENCE_S_PER_BYTE = 0.5 / (1 << 20)
"""More patience for large requests: they have to reach other members and their disks."""

MAX_KNOWN = 64
"""Addresses of which is kept what they said last, or that they were silent."""

DISTRUST_S = 1.0
"""How long others' word that a silent one leads counts for nothing."""


class ClientError(RuntimeError):
    """A request without a result; the text says why, for people."""


class NoLeader(ClientError):
    """Nodes answer, but none could commit in time: there is no leader, or no quorum."""


class Overloaded(ClientError):
    """There is a leader, and it takes no more: it has too much to do, or keeps too many answers for this client."""


class Timeout(ClientError):
    """No node answers at all."""


class SessionExpired(ClientError):
    """The cluster has forgotten this client while the outcome of a request was open."""


class Refused(ClientError):
    """The request is one that no node carries out."""


class Patience:
    """How long an answer may take before its request is repeated: what answers took of late and four times what they
    differ by, as RFC 6298, section 2, has it of round trips. Who repeats sooner gives more to do to those that are
    slow already. What was repeated counts from its first try, and only where no later one was answered at once: else
    its datagram was lost."""

    def __init__(self) -> None:
        self._smoothed = self._varies = 0.0
        self._latest = 0.0
        """When the latest of those began that were answered at once."""

    def after(self, silences: int) -> float:
        """Seconds, of a request that has met with silence so many times."""
        first = min(max(FIRST_PATIENCE_S, self._smoothed + 4 * self._varies), MAX_FIRST_PATIENCE_S)
        return min(first * 2.0 ** min(silences, 8), max(first, MAX_PATIENCE_S))

    def answered(self, begun: float, now: float, tries: int = 1) -> None:
        """A small request was answered that went out first at ``begun``, and so many times."""
        if tries > 1 and begun <= self._latest:
            return
        if tries == 1:
            self._latest = max(self._latest, begun)
        elapsed_s = now - begun
        self._varies += (abs(elapsed_s - self._smoothed) - self._varies) / 4
        self._smoothed += (elapsed_s - self._smoothed) / 8


Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Result:
    """An answered request. ``value`` is what the operation gives (see ``Client``); ``index`` and ``term`` are those
    of the log entry that carried it out, or of the last one whose effect a read saw; ``served_by`` is the member that
    answered, from ``address``."""

    value: Value
    index: int
    term: int
    served_by: int
    address: Address
    elapsed_s: float


@dataclass(slots=True, eq=False)
class Call:
    """A request that was submitted; ``done`` once there is a reply or a failure. It has a session and a sequence from
    when it first goes out."""

    request: Request
    session: int
    sequence: int
    submitted: float
    deadline: float
    payload: bytes = field(repr=False)
    reply: Reply | None = None
    value: Value = None
    """The reply's, if it is OK."""
    failure: ClientError | None = None
    served_by: int = 0
    address: Address = ("", 0)
    begun: float = 0.0
    """When it first went out."""
    answered: float = 0.0
    asked: Address = ("", 0)
    """Whom, the last time."""
    tries: int = 0
    silences: int = 0
    """Times that whoever was asked did not answer."""
    refusals: int = 0
    """Answers that said "not now" or "not me"."""
    sent_at: float = 0.0
    """When it went out the last time."""
    next_send: float = 0.0
    expects: bool = False
    """Whether an answer to the latest try may still come."""
    busy: bool = False
    """Whether the latest answer was that the leader takes no more."""
    in_doubt: bool = False
    """Whether some node may have taken it that has not said what became of it."""
    message_id: int | None = None
    """The message id of its fragments, if it is large."""
    spread: bool = False
    """Whether the latest try lets switches choose who answers."""

    @property
    def done(self) -> bool:
        """Whether ``result`` has something to say about it."""
        return self.reply is not None or self.failure is not None

    def sent(self, asked: Address, now: float, patience: Patience) -> None:
        """The call goes out, to ``asked``."""
        self.asked = asked
        self.begun = self.begun or now
        self.sent_at = now
        self.tries += 1
        self.expects = True
        self.heard_of(now, patience)

    def heard_of(self, now: float, patience: Patience) -> None:
        """The call was sent, or part of it has arrived, or part of its answer."""
        self.next_send = now + patience.after(self.silences) + len(self.payload) * PATIENCE_S_PER_BYTE

    def refused(self, now: float, jitter: float) -> None:
        """The call is to be sent again after a while. ``jitter`` is a factor up to 1."""
        self.next_send = now + jitter * min(FIRST_BACKOFF_S * 2.0 ** min(self.refusals, 8), MAX_BACKOFF_S)
        self.refusals += 1
        self.expects = False

    def start_over(self) -> None:
        """The call is to go out as if for the first time, under another session."""
        self.session = self.sequence = 0
        self.tries = self.silences = self.refusals = 0
        self.expects = self.busy = self.in_doubt = False


def result(call: Call) -> Result:
    """What a call that is done has given. Raises ClientError if it has failed."""
    if call.failure is not None:
        raise call.failure
    reply = call.reply
    assert reply is not None, "the call is not done"
    if reply.outcome is not Outcome.OK:
        raise Refused(f"refused by {_text(call.address)}: {reply.text}")
    return Result(call.value, reply.index, reply.term, call.served_by, call.address, call.answered - call.begun)


class Servers:
    """The addresses to ask: ``current`` until it proves wrong, then one after the other."""

    def __init__(self, addresses: list[Address]) -> None:
        """Raises ClientError for an address that nobody can have, or if there is none."""
        if not addresses:
            raise ClientError("there is no address to ask")
        for host, port in addresses:
            if not isinstance(port, int) or not 0 < port < 1 << 16:
                raise ClientError(f"{host}:{port} cannot be asked: a port is a number from 1 to 65535")
        self._given = list(dict.fromkeys(addresses))
        self._learned: list[Address] = []
        self._at = 0
        self.current = self._given[0]
        self.said: dict[Address, str] = {}
        """What each said last, for people."""
        self.silent: dict[Address, float] = {}
        """Since when each does not answer."""

    def everyone(self) -> list[Address]:
        """The addresses that were given, then those that others have named."""
        return self._given + self._learned

    def follow(self, leader: Address, now: float) -> bool:
        """A node says that ``leader`` leads. False if ``leader`` is known to be silent."""
        if now - self.silent.get(leader, -DISTRUST_S) < DISTRUST_S:
            return False
        if leader not in self._given and leader not in self._learned:
            self._learned.append(leader)
            del self._learned[:-16]
        self.current = leader
        return True

    def turn(self) -> None:
        """The current address does not help: the next one becomes current."""
        everyone = self.everyone()
        self._at = (self._at + 1) % len(everyone)
        if everyone[self._at] == self.current:
            self._at = (self._at + 1) % len(everyone)
        self.current = everyone[self._at]

    def fell_silent(self, address: Address, now: float) -> None:
        """``address`` was asked and has not answered."""
        _keep(self.silent, address, now)
        self.said.pop(address, None)

    def spoke(self, address: Address, said: str | None = None) -> None:
        """``address`` has answered; ``said`` if that was no result."""
        self.silent.pop(address, None)
        if said is None:
            self.said.pop(address, None)
        else:
            _keep(self.said, address, said)

    def describe(self) -> str:
        """What each said last, or that it does not answer."""
        parts = [f"{_text(address)} {said}" for address, said in self.said.items()]
        quiet = [_text(address) for address in self.everyone() if address not in self.said]
        if quiet:
            parts.append(f"no answer from {', '.join(quiet)}")
        return "; ".join(parts)


def _keep(known: dict[Address, Told], address: Address, told: Told) -> None:
    """The latest of MAX_KNOWN: whoever answers may do so from ever new addresses."""
    known.pop(address, None)
    known[address] = told
    if len(known) > MAX_KNOWN:
        del known[next(iter(known))]


def too_late(call: Call, servers: Servers, now: float) -> ClientError:
    """Why a call has failed whose deadline has passed."""
    waited = f"{now - call.submitted:.1f} s"
    doubt = ". It may still be committed later" if call.in_doubt or call.expects or call.silences else ""
    if call.busy:
        return Overloaded(f"not committed within {waited}: the leader takes no more ({servers.describe()}){doubt}")
    if servers.said:
        text = f"no leader or no quorum: not committed within {waited} ({servers.describe()}){doubt}"
        return NoLeader(text)
    asked = ", ".join(_text(address) for address in servers.everyone())
    return Timeout(f"no answer from {asked} within {waited}: does a node run there, and is there a way to it?{doubt}")


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
