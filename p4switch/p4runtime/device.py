"""One switch behind P4Runtime: its pipeline configs, its clients' roles, its packets and notifications.

Everything here runs in the event loop's thread, so one request is finished before the next one is looked at; only
the build of a pipeline happens elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from finsy.proto import p4r

from p4switch.errors import PipelineError
from p4switch.p4runtime.arbitration import Arbiter, Notice
from p4switch.p4runtime.digests import DigestList
from p4switch.p4runtime.errors import Code, RequestError, invalid
from p4switch.p4runtime.forwarding import Forwarding, build_pipeline
from p4switch.p4runtime.p4info import Schema, find
from p4switch.p4runtime.reconcile import carry_over
from p4switch.p4runtime.roles import ALL, Permissions, permissions
from p4switch.p4runtime.values import encode_data
from p4switch.pipeline.entities import Output
from p4switch.pipeline.pipeline import Pipeline

IDLE_SWEEP_S = 1.0
"""Seconds between two looks for idle entries, as in BMv2."""
MAX_QUEUED = 10_000
"""Packet-ins and notifications that wait for one slow client; more are dropped, as the specification allows."""

Action = p4r.SetForwardingPipelineConfigRequest
Message = p4r.StreamMessageResponse


class DataPlane(Protocol):
    """The packet side: what carries packets through the pipeline that was committed last."""

    def prepare(self) -> None:
        """Build what `commit` needs. Slow at first; called in a thread. Raises PipelineError, OSError."""

    def commit(self, pipeline: Pipeline) -> None:
        """Run this pipeline from the next packet on. Raises OSError if the ports cannot be opened."""

    def inject(self, frame: bytes) -> None:
        """Let a frame enter at the CPU port."""

    def drain(self) -> Output:
        """Frames that left at the CPU port and digests, since the last call."""

    def lost(self) -> int:
        """How many of these, and of log lines, found the queue full, ever."""

    def now_us(self) -> int:
        """Microseconds since the switch started, as packets see them."""


class Stream:
    """A client's StreamChannel: what waits to be sent to it. Notifications beyond MAX_QUEUED are dropped."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self.dropped = 0

    def send(self, message: Message, droppable: bool = True) -> None:
        """Queue a message."""
        if droppable and len(self._waiting) >= MAX_QUEUED:
            self.dropped += 1
            return
        self._waiting.append(message)
        self._arrived.set()

    async def next(self) -> Message:
        """The next message to send; waits for one."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


class Device:
    """The switch of one device id. `cache`: the folder of built pipelines."""

    def __init__(
        self, device_id: int, dataplane: DataPlane, cache: Path | None = None, log: Callable[[str], None] = print
    ) -> None:
        self.device_id = device_id
        self.arbiter = Arbiter(device_id)
        self.running: Forwarding | None = None
        self.saved: Forwarding | None = None
        self.ending = asyncio.Event()
        self._dataplane = dataplane
        self._cache = cache
        self._log = log
        self._pushing = asyncio.Lock()
        self._digest_timer: asyncio.TimerHandle | None = None
        self._lost = 0
        self._roles: dict[str, Permissions] = {"": ALL}

    # Requests ----------------------------------------------------------------------------------

    def check_device(self, device_id: int) -> None:
        """Raises NOT_FOUND for another switch's id."""
        if device_id != self.device_id:
            raise RequestError(Code.NOT_FOUND, f"this is device {self.device_id}, not {device_id}")

    def forwarding(self) -> Forwarding:
        """What reads and writes refer to: the saved config before the running one.

        Raises:
            RequestError: FAILED_PRECONDITION if none was ever pushed.
        """
        current = self.saved or self.running
        if current is None:
            raise RequestError(Code.FAILED_PRECONDITION, "No forwarding pipeline config set for this device")
        return current

    def permissions(self, role: str) -> Permissions:
        """What a role may do."""
        return self._roles.get(role, ALL)

    def write(self, request: p4r.WriteRequest) -> list[RequestError | None]:
        """Carry out a batch, all updates in order, whatever happens to the others.

        Returns:
            for each update its error, or None.

        Raises:
            RequestError: the batch as a whole is refused.
        """
        forwarding = self.forwarding()
        if request.atomicity != p4r.WriteRequest.CONTINUE_ON_ERROR:
            raise RequestError(Code.UNIMPLEMENTED, "batches are carried out with CONTINUE_ON_ERROR only")
        allowed = self.permissions(request.role)
        outcomes: list[RequestError | None] = []
        write, done = forwarding.write, outcomes.append
        for update in request.updates:
            try:
                if allowed is not ALL:
                    allowed.check_update(update)
                write(update)
            except RequestError as error:
                done(error)
            else:
                done(None)
        self._schedule_digests()
        return outcomes

    # Pipeline configs --------------------------------------------------------------------------

    async def set_config(self, request: Action, check: Callable[[], None]) -> None:
        """Carry out SetForwardingPipelineConfig. `check` is asked again after the build.

        Raises:
            RequestError: what is wrong; the running pipeline goes on as before.
        """
        action = request.action
        async with self._pushing:
            if action == Action.COMMIT:
                self._commit_saved(request)
                return
            if action not in (
                Action.VERIFY,
                Action.VERIFY_AND_SAVE,
                Action.VERIFY_AND_COMMIT,
                Action.RECONCILE_AND_COMMIT,
            ):
                raise invalid("the action is missing")
            if not request.HasField("config"):
                raise invalid("the config is missing")
            schema, pipeline = await asyncio.to_thread(self._build, request.config)
            try:
                check()
                config = p4r.ForwardingPipelineConfig()
                config.CopyFrom(request.config)
                built = Forwarding(config, schema, pipeline, self._dataplane.now_us)
                if action == Action.RECONCILE_AND_COMMIT and self.running is not None:
                    carry_over(self.running, built)
            except RequestError:
                pipeline.close()
                raise
            if action == Action.VERIFY:
                pipeline.close()
            elif action == Action.VERIFY_AND_SAVE:
                self._forget_saved()
                self.saved = built
            else:
                self._commit(built)

    def _build(self, config: p4r.ForwardingPipelineConfig) -> tuple[Schema, Pipeline]:
        try:
            self._dataplane.prepare()
            return build_pipeline(config, self._cache)
        except (PipelineError, OSError) as error:
            raise RequestError(Code.INTERNAL, f"the pipeline cannot be built: {error}") from None

    def _commit_saved(self, request: Action) -> None:
        if request.HasField("config"):
            raise invalid("COMMIT takes no config: it realizes the one that was saved")
        if self.saved is None:
            raise RequestError(Code.NOT_FOUND, "no config was saved since the last commit: VERIFY_AND_SAVE first")
        built, self.saved = self.saved, None
        self._commit(built)

    def _commit(self, built: Forwarding) -> None:
        try:
            self._dataplane.commit(built.pipeline)
        except OSError as error:
            built.pipeline.close()
            raise RequestError(Code.INTERNAL, f"the pipeline cannot run: {error}") from None
        self.on_events()  # what the old pipeline still had to tell
        self._forget_saved()
        old, self.running = self.running, built
        if old is not None:
            old.retire()
        self._log(
            f"pipeline committed: {len(built.tables)} tables, {len(built.config.p4_device_config)} bytes of JSON"
        )

    def _forget_saved(self) -> None:
        if self.saved is not None:
            self.saved.retire()
            self.saved = None

    def close(self) -> None:
        """Free the pipelines; the packet loop has ended."""
        self._forget_saved()
        if self.running is not None:
            self.running.retire()
            self.running = None
        if self._digest_timer is not None:
            self._digest_timer.cancel()

    # Streams -----------------------------------------------------------------------------------

    def receive(self, stream: Stream, request: p4r.StreamMessageRequest) -> None:
        """Take a message of a client's stream.

        Raises:
            RequestError: the stream must end with this error.
        """
        which = request.WhichOneof("update")
        if which == "arbitration":
            self._arbitrate(stream, request.arbitration)
        elif which == "packet":
            self._packet_out(stream, request.packet)
        elif which == "digest_ack":
            self._acknowledge(stream, request.digest_ack)
        else:
            error = p4r.StreamError(canonical_code=Code.UNIMPLEMENTED, message="no such stream message is known here")
            error.other.SetInParent()
            stream.send(Message(error=error))

    def leave(self, stream: Stream) -> None:
        """A client's stream has ended."""
        self._notify(self.arbiter.leave(stream))
        if stream.dropped:
            self._log(f"a client that left had read too slowly: {stream.dropped} notifications were dropped")

    def _arbitrate(self, stream: Stream, message: p4r.MasterArbitrationUpdate) -> None:
        allowed = permissions(message.role)
        before = self.arbiter.primary(message.role.name)
        notices = self.arbiter.update(stream, message)
        after = self.arbiter.primary(message.role.name)
        if after == stream:
            self._roles[message.role.name] = allowed
        if after != before and after is not None:
            self._log(f"primary{' of role ' + message.role.name if message.role.name else ''}: a new client")
            for queue in self.running.digests.values() if self.running else ():
                queue.forget_sent()
        self._notify(notices)

    def _notify(self, notices: Sequence[Notice]) -> None:
        for stream, notice in notices:
            assert isinstance(stream, Stream)
            stream.send(Message(arbitration=notice), droppable=False)

    def _packet_out(self, stream: Stream, packet: p4r.PacketOut) -> None:
        try:
            self._check_primary(stream)
            self._dataplane.inject(self.forwarding().packet_out.frame(packet))
        except RequestError as problem:
            error = p4r.StreamError(canonical_code=problem.code, message=problem.message)
            error.packet_out.packet_out.CopyFrom(packet)
            stream.send(Message(error=error))

    def _acknowledge(self, stream: Stream, ack: p4r.DigestListAck) -> None:
        try:
            self._check_primary(stream)
            find(self.forwarding().digests, ack.digest_id, "digest").acknowledge(ack.list_id)
        except RequestError as problem:
            error = p4r.StreamError(canonical_code=problem.code, message=problem.message)
            error.digest_list_ack.digest_list_ack.CopyFrom(ack)
            stream.send(Message(error=error))

    def _check_primary(self, stream: Stream) -> None:
        role = self.arbiter.role_of(stream)
        if role is None or self.arbiter.primary(role) != stream:
            raise RequestError(Code.PERMISSION_DENIED, "not primary: another client, or none, may send this")

    # What the data plane tells -----------------------------------------------------------------

    def _tell_lost(self) -> None:
        lost = self._dataplane.lost()
        if lost > self._lost:
            self._log(f"{lost - self._lost} packet-ins, digests or log lines were lost: more waited than are kept")
            self._lost = lost

    def on_events(self) -> None:
        """Pass on the packet-ins and digests that wait in the data plane."""
        output = self._dataplane.drain()
        self._tell_lost()
        running = self.running
        if running is None:
            return
        for _, frame in output.packets:
            packet = running.packet_in.message(frame)
            if packet is not None:
                self._packet_in(packet)
        now = time.monotonic_ns()
        for name, fields in output.digests:
            digest = running.schema.digests_by_name.get(name)
            ready = running.digests[digest.id].learn(tuple(fields), now) if digest is not None else None
            if ready is not None:
                self._send_digests(running, ready)
        if output.digests:
            self._schedule_digests()
        for text in output.log:
            self._log(text)

    def _packet_in(self, packet: p4r.PacketIn) -> None:
        for role, stream in self.arbiter.primaries():
            if self.permissions(role).wants(packet) and isinstance(stream, Stream):
                stream.send(Message(packet=packet))

    def _send_digests(self, running: Forwarding, ready: DigestList) -> None:
        message = Message()
        digest = message.digest
        digest.digest_id, digest.list_id, digest.timestamp = ready.digest.id, ready.list_id, time.time_ns()
        for fields in ready.messages:
            digest.data.append(encode_data(ready.digest.spec, running.schema.types, iter(fields)))
        self._tell_primaries(message, ready.digest.id)

    def _tell_primaries(self, message: Message, id: int) -> None:
        """Send a notification about a P4 object to the primary of every role that includes it."""
        for role, stream in self.arbiter.primaries():
            ids = self.permissions(role).ids
            if (ids is None or id in ids) and isinstance(stream, Stream):
                stream.send(message)

    def _schedule_digests(self) -> None:
        """Wake up when the first of the buffered digest lists is due."""
        running = self.running
        deadlines = [queue.deadline() for queue in running.digests.values()] if running else []
        waiting = [deadline for deadline in deadlines if deadline is not None]
        if self._digest_timer is not None:
            self._digest_timer.cancel()
            self._digest_timer = None
        if waiting:
            delay = max(min(waiting) - time.monotonic_ns(), 0) / 1e9
            self._digest_timer = asyncio.get_running_loop().call_later(delay, self._on_digest_timer)

    def _on_digest_timer(self) -> None:
        self._digest_timer = None
        running = self.running
        for queue in running.digests.values() if running else ():
            ready = queue.due(time.monotonic_ns())
            if ready is not None and running is not None:
                self._send_digests(running, ready)
        self._schedule_digests()

    async def sweep(self) -> None:
        """Report idle entries, for ever."""
        while True:
            await asyncio.sleep(IDLE_SWEEP_S)
            if self.running is None:
                continue
            by_table: dict[int, list[p4r.TableEntry]] = {}
            for entry in self.running.idle_entries(self._dataplane.now_us()):
                by_table.setdefault(entry.table_id, []).append(entry)
            for table_id, entries in by_table.items():
                message = Message()
                message.idle_timeout_notification.timestamp = time.time_ns()
                message.idle_timeout_notification.table_entry.extend(entries)
                self._tell_primaries(message, table_id)
