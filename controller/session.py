"""One switch, from the first connection on: become its primary, install the program, and keep its entries as desired.

What the tables ought to hold is asked anew whenever something changed (``refresh``), compared with what they are
known to hold, and the difference is written. After any failure the switch is read again: a failed request may have
been done in part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from ipaddress import IPv4Address
from typing import Any, Protocol

import grpc
from finsy import (
    P4ClientError,
    P4CounterData,
    P4DigestEntry,
    P4DigestList,
    P4PacketIn,
    P4PacketOut,
    P4TableEntry,
)
from finsy.grpcutil import GRPCStatusCode
from finsy.proto import p4r

from controller import hints, members
from controller.client import P4RuntimeClient, StreamClosed
from controller.decisions import Standing
from controller.desired import Held, Write, apply, batches, diff
from controller.leaders import Heard, Reading
from controller.links import Probe
from controller.log import log
from controller.members import MembersTold
from controller.names import ControllerKind
from controller.network import Switch
from controller.primacy import Primacy
from controller.program import DIGESTS, GONE_DIGEST, LEADER_DIGEST, READ_ALL, SILENCE_DIGEST, Program
from controller.tasks import within

POLL_S = 0.05
"""How often a switch that is away is tried."""
RETRY_S = 0.2
"""After a request that failed."""
HEARTBEAT_S = 1.0
GIVE_UP_S = 15.0
"""A connection on which nothing was answered for so long is made anew."""
_COMPLAIN_S = 2.0
_SILENT = "it does not answer"


class Owner(Protocol):
    """What a session asks of the controller, and tells it."""

    def desired(self, session: Session) -> tuple[Held, ...]:
        """What the switch's tables ought to hold now."""
        ...

    def found(self, session: Session, entries: tuple[Held, ...]) -> None:
        """The switch was read; called before anything is written."""
        ...

    def holds(self, session: Session, entries: tuple[Held, ...]) -> None:
        """The switch was written to, and this is what it holds now."""
        ...

    def standing_changed(self, session: Session) -> None:
        """``session.standing`` is another one."""
        ...

    def leader_heard(self, session: Session, group: int, slot: int, heard: Heard) -> None:
        """A leader digest."""
        ...

    def probe_heard(self, session: Session, port: int, probe: Probe) -> None:
        """A link probe came in at ``port``."""
        ...

    def host_told(self, session: Session, address: str) -> None:
        """A digest: the host of this address says that nobody is there."""
        ...

    def silence_told(self, session: Session, group: int, slot: int, heard: Heard) -> None:
        """A digest: a member asks after a leader that the switch misses, too."""
        ...

    def echo_answered(self, session: Session, address: str, sequence: int) -> None:
        """A host answers an echo request."""
        ...

    def members_told(self, session: Session, told: MembersTold) -> None:
        """A Configuration message came in at the switch's edge."""
        ...


class Session:
    """The controller's side of one switch. ``run`` never returns; cancel it."""

    def __init__(self, switch: Switch, program: Program, election_id: int, owner: Owner) -> None:
        self.switch = switch
        self.name = switch.name
        self.standing = Standing.AWAY
        self.entries: tuple[Held, ...] = ()
        """What the tables are known to hold."""
        self.times_programmed = 0
        """How often this switch went from anything to READY."""
        self.programmed_at = 0.0
        """Seconds since the epoch."""
        self.lost_at = time.monotonic()
        self.problem = ""
        """Why the switch is not ready, for people."""
        self._program = program
        self._owner = owner
        self._client: P4RuntimeClient | None = None
        self._primacy = Primacy(election_id)
        self._unread = True
        self._dirty = asyncio.Event()
        self._wanted_version = 0
        self._held_version = 0
        self._held = asyncio.Condition()
        self._register_waiters: dict[int, list[asyncio.Future[Reading]]] = {}

    @property
    def ready(self) -> bool:
        """Whether the switch is programmed and ours."""
        return self.standing is Standing.READY

    def refresh(self) -> int:
        """What is desired may have changed. Returns a version to pass to ``until``."""
        self._wanted_version += 1
        self._dirty.set()
        return self._wanted_version

    async def until(self, version: int) -> None:
        """Wait until the switch holds what was desired at ``version``, or more."""
        async with self._held:
            await self._held.wait_for(lambda: self._held_version >= version)

    def reread(self) -> None:
        """Something suggests that the switch does not hold what we believe: read it again."""
        self._unread = True
        self._dirty.set()

    async def send_frame(self, port: int, frame: bytes) -> None:
        """Send a frame out of a port; a switch that is just leaving is no error."""
        await self._packet_out(frame, egress_port=port, kind=ControllerKind.FRAME, slot=0)

    async def read_registers(self, slot: int, timeout: float) -> Reading | None:
        """A group's registers; None if the switch does not answer within ``timeout`` seconds."""
        waiter: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()
        self._register_waiters.setdefault(slot, []).append(waiter)
        try:
            await self._packet_out(b"", egress_port=0, kind=ControllerKind.REGISTERS, slot=slot)
            return await within(waiter, timeout)
        except asyncio.TimeoutError:
            return None
        finally:
            waiters = self._register_waiters.get(slot, [])
            if waiter in waiters:
                waiters.remove(waiter)

    async def member_packets(self) -> dict[tuple[int, int], int]:
        """Packets that each (group, member) at this switch has sent to other members so far; empty on any failure."""
        if self._client is None or not self.ready:
            return {}
        try:
            held = await self._client.read(P4TableEntry("members", counter_data=P4CounterData()))
        except P4ClientError:
            return {}
        return {
            (entry["group"], entry["source"]): entry.counter_data.packet_count
            for entry in held
            if entry.counter_data is not None and not entry.is_default_action
        }

    async def _packet_out(self, payload: bytes, **metadata: int) -> None:
        if self._client is None:
            return
        message = P4PacketOut(payload, **metadata).encode_update(self._program.schema)
        try:
            await self._client.send(message)
        except (P4ClientError, StreamClosed):
            return

    async def run(self) -> None:
        """Connect, serve, and connect again, for ever."""
        while True:
            await self._wait_for_port()
            try:
                await self._serve()
            except (P4ClientError, StreamClosed, grpc.RpcError, OSError, asyncio.TimeoutError) as error:
                self._leave(error)
            except Exception:
                log.exception("%s: the session failed", self.name)
                self._leave(None)
            await asyncio.sleep(POLL_S)

    async def _wait_for_port(self) -> None:
        host, _, port = self.switch.grpc.rpartition(":")
        began, told = time.monotonic(), False
        while True:
            try:
                _, writer = await within(asyncio.open_connection(host.strip("[]"), int(port)), 1.0)
                writer.close()
                return
            except (OSError, asyncio.TimeoutError):
                self.problem = f"nothing listens at {self.switch.grpc}"
                if not told and time.monotonic() - began > _COMPLAIN_S:
                    told = True
                    log.warning("%s: %s; still trying", self.name, self.problem)
                await asyncio.sleep(POLL_S)

    async def _serve(self) -> None:
        self._unread = True
        async with P4RuntimeClient(self.switch.grpc, self.switch.device_id, self._program.schema) as client:
            await within(self._primacy.ask(client), GIVE_UP_S)
            self._client = client
            jobs = (self._receive, self._primacy.claim_when_vacant, self._keep_programmed, self._heartbeat)
            try:
                await _first_end(*(job(client) for job in jobs))
            finally:
                self._client = None

    def _leave(self, error: BaseException | None) -> None:
        self.problem = _reason(error)
        if isinstance(error, P4ClientError) and error.is_election_id_used:
            held = self._primacy.refused()
            if held is not None:
                log.info(
                    "%s: another controller holds election id %d; standing by with %d", self.name, held, held - 1
                )
        else:
            self._primacy.restart()
            if self.standing is not Standing.AWAY:
                log.warning("%s: connection lost: %s", self.name, self.problem)
        self.entries = ()
        self._move(Standing.AWAY)

    def _complain(self, problem: str) -> None:
        """Log a failed request, but not the same one five times a second."""
        if problem != self.problem:
            log.warning("%s: %s; reading the switch again", self.name, problem)
        self.problem = problem

    def _move(self, standing: Standing) -> None:
        if standing is self.standing:
            return
        if standing is Standing.AWAY:
            self.lost_at = time.monotonic()
        if standing is Standing.READY:
            self.times_programmed += 1
            self.programmed_at = time.time()
        self.standing = standing
        self._owner.standing_changed(self)

    async def _receive(self, client: P4RuntimeClient) -> None:
        while True:
            message = await client.receive()
            kind = message.WhichOneof("update")
            if kind == "arbitration":
                self._arbitrated(message.arbitration)
                continue
            try:
                if kind == "packet":
                    self._packet_in(P4PacketIn.decode(message, self._program.schema))
                elif kind == "digest":
                    self._digest(P4DigestList.decode(message, self._program.schema))
                elif kind == "error":
                    log.warning("%s: stream error: %s", self.name, message.error.message)
            except (KeyError, ValueError) as error:
                log.warning("%s: a %s that is not of this program: %s", self.name, kind, error)

    def _arbitrated(self, update: p4r.MasterArbitrationUpdate) -> None:
        was_primary = self._primacy.held.is_set()
        self._primacy.told(update)
        highest = self._primacy.highest
        if self._primacy.held.is_set():
            if not was_primary:
                log.info("%s: connected, primary with election id %d", self.name, highest)
                self._unread = True
                self._dirty.set()
                self._move(Standing.PROGRAMMING)
            return
        if self.standing is not Standing.STANDBY:
            log.info("%s: connected, standing by for the primary with election id %d", self.name, highest)
        self.problem = "another controller is the primary"
        self._move(Standing.STANDBY)

    def _packet_in(self, packet: P4PacketIn) -> None:
        if packet["kind"] == ControllerKind.REGISTERS:
            age = (packet["now_us"] - packet["last_heard_us"]) & (2**48 - 1)
            reading = Reading(packet["leader"], packet["term"], age)
            for waiter in self._register_waiters.pop(packet["slot"], []):
                if not waiter.done():
                    waiter.set_result(reading)
        elif packet["kind"] == ControllerKind.PROBE:
            probe = Probe.unpack(packet.payload)
            if probe is not None:
                self._owner.probe_heard(self, packet["ingress_port"], probe)
        elif packet["kind"] == ControllerKind.CONFIGURATION:
            told = members.unpack(packet.payload)
            if told is not None:
                self._owner.members_told(self, told)
        elif packet["kind"] == ControllerKind.ECHO_REPLY:
            answer = hints.read_echo_reply(packet.payload)
            if answer is not None:
                self._owner.echo_answered(self, *answer)

    def _digest(self, digests: P4DigestList) -> None:
        for item in digests.data:
            if digests.digest_id == GONE_DIGEST:
                self._owner.host_told(self, str(IPv4Address(item["address"])))
                continue
            heard = Heard(item["leader"], item["term"])
            if digests.digest_id == LEADER_DIGEST:
                self._owner.leader_heard(self, item["group"], item["slot"], heard)
            elif digests.digest_id == SILENCE_DIGEST:
                self._owner.silence_told(self, item["group"], item["slot"], heard)

    async def _keep_programmed(self, client: P4RuntimeClient) -> None:
        while True:
            await self._dirty.wait()
            await self._primacy.held.wait()
            self._dirty.clear()
            version = self._wanted_version
            try:
                if self._unread:
                    await self._read(client)
                await self._write(client)
            except P4ClientError as error:
                self._unread = True
                if not self._primacy.held.is_set():
                    continue
                self._complain(_reason(error))
                await asyncio.sleep(RETRY_S)
                self._dirty.set()
                continue
            if not self._primacy.held.is_set():
                continue
            if self.problem != _SILENT:
                self.problem = ""
            self._move(Standing.READY)
            async with self._held:
                self._held_version = version
                self._held.notify_all()

    async def _read(self, client: P4RuntimeClient) -> None:
        if await client.cookie() != self._program.cookie:
            self._move(Standing.PROGRAMMING)
            began = time.monotonic()
            await client.push()
            log.info("%s: program installed in %.0f ms", self.name, (time.monotonic() - began) * 1000)
        await self._subscribe(client)
        found = [self._program.decode(entry) for entry in await client.read(*READ_ALL)]
        self.entries = tuple(entry for entry in found if entry is not None)
        self._unread = False
        self._owner.found(self, self.entries)

    async def _subscribe(self, client: P4RuntimeClient) -> None:
        """Have digests sent one by one, at once."""
        for name in DIGESTS:
            digest = P4DigestEntry(name, max_list_size=1).encode(self._program.schema)
            try:
                await client.write([p4r.Update(type=p4r.Update.INSERT, entity=digest)])
            except P4ClientError as error:
                codes = {detail.canonical_code for detail in error.details.values()} or {error.code}
                if codes != {GRPCStatusCode.ALREADY_EXISTS}:
                    raise

    async def _write(self, client: P4RuntimeClient) -> None:
        """One request per table, in order. The first that fails ends it: who checks nobody carries nobody."""
        writes = diff(self._owner.desired(self), self.entries)
        began = time.monotonic()
        for batch in batches(writes):
            await client.write([self._program.encode(write) for write in batch])
            self.entries = apply(batch, self.entries)
            self._owner.holds(self, self.entries)
        if self.standing is not Standing.READY:
            counts = f"{len(self.entries)} entries, {len(writes)} written"
            log.info("%s: programmed, %s in %.0f ms", self.name, counts, (time.monotonic() - began) * 1000)
        elif writes:
            log.debug("%s: wrote %s", self.name, _summary(writes))

    async def _heartbeat(self, client: P4RuntimeClient) -> None:
        """Find out that the switch is paused, hung, or was given another program."""
        answered = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                cookie = await client.cookie()
            except P4ClientError as error:
                if error.code != GRPCStatusCode.DEADLINE_EXCEEDED:
                    raise
                if self.problem != _SILENT:
                    self.problem = _SILENT
                    log.warning("%s: does not answer; still trying", self.name)
                if time.monotonic() - answered > GIVE_UP_S:
                    raise
                continue
            if self.problem == _SILENT:
                self.problem = ""
                log.info("%s: answers again", self.name)
            answered = time.monotonic()
            if cookie != self._program.cookie and self.ready:
                log.warning("%s: has another program now; installing ours", self.name)
                self.reread()


def _reason(error: BaseException | None) -> str:
    if isinstance(error, P4ClientError):
        details = [f"{detail.message or detail.canonical_code.name}" for detail in error.details.values()]
        return "; ".join(details) or f"{error.code.name}: {error.message}"
    if isinstance(error, StreamClosed):
        return "the switch closed the stream"
    return str(error or "internal error") or type(error).__name__


def _summary(writes: tuple[Write, ...]) -> str:
    return ", ".join(f"{write.operation.value} {write.entry}" for write in writes)


async def _first_end(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, normally by an error, which is raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
