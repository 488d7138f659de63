"""A member: the node's own transport, groups and log, with simulated socket, disk and clock.

``Node`` outlives crashes, as its disks do; ``Process`` is one life. A process's turn is one round of the node's loop
(``hosts.node``): drain the socket, tick, flush.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import cast

from hosts.config import Address
from hosts.group import HOLD_S, NO_TIME, Group, Pace
from hosts.member import Member, MemberOutputs, Tuning
from hosts.net.replies import CHALLENGE_BYTES
from hosts.net.seal import Seal
from hosts.net.transport import Surroundings
from hosts.net.udp import BATCH, Refusal
from hosts.raft.core import Raft, Role
from hosts.raft.message import Message, MessageType, Quoted
from hosts.service.checking import Steps
from hosts.service.requests import Encoded
from hosts.storage.errors import LogError
from hosts.storage.folders import make_durably
from hosts.storage.log import LOG_ID_BYTES, DiskLog
from hosts.storage.log_writer import Done, Work, write_all
from hosts.storage.snapshot_writer import FileSink
from hosts.wire import MAX_DATAGRAM, Header
from sim.checks.watched import WatchedLog, WatchedMachine, WatchedRaft
from sim.disk import PowerLoss, SimDisk, SimFolders
from sim.events import SECOND
from sim.faults.forger import Victims
from sim.invariants import Promised, Writing
from sim.network import Network
from sim.scene import Scene
from sim.violation import Violation

KEY = bytes(range(32))
SOCKET_DATAGRAMS = 2000
"""What a socket's buffer holds while its process does not look."""


_NEVER = 1 << 62
_REPLY = int(MessageType.CLIENT_REPLY)


_FANOUT = {
    "rounds": "rounds by fan-out",
    "appends": "entries sent by fan-out",
    "trials": "trials of fan-out",
    "trials_in_vain": "trials of fan-out in vain",
    "fallbacks": "fallbacks from fan-out",
    "fallbacks_entries": "fallbacks from fan-out for entries alone",
    "laggards": "laggards served beside a fan-out",
    "rejects": "copies rejected",
}


ACKNOWLEDGEMENTS = {
    "merged": "acknowledgements merged",
    "late": "acknowledgements held back for their time",
    "asked_again": "all asked again to acknowledge",
    "choices": "choices of who acknowledges at once",
}


QUESTIONS = {
    "asked": "questions for an index",
    "asked_along": "questions that rode on an answer",
    "asked_again": "questions asked again",
    "answered": "questions answered",
    "void": "answers to no open question",
    "taken": "questions that leaders answered",
    "taken_at_once": "questions that confirmed themselves",
    "told_along": "answers that rode on an AppendEntries",
}


GATHERING = {
    "asked": "AppendEntries that let acknowledgements be gathered",
    "pauses": "pauses of gathering",
}


class SimSocket:
    """As much of a UDP socket as a transport uses."""

    __slots__ = ("_process", "_victims", "refusals", "waiting")

    def __init__(self, process: Process) -> None:
        self._process = process
        self._victims = process.node.victims
        self.waiting: deque[tuple[bytes, Address]] = deque()
        self.refusals: deque[Refusal] = deque()

    def take_refusals(self) -> list[Refusal]:
        taken = list(self.refusals)
        self.refusals.clear()
        self._process.takes_refusals(taken)
        return taken

    def receive(self) -> list[tuple[bytes, Address]]:
        waiting = self.waiting
        if len(waiting) == 1:
            batch = [waiting.popleft()]
        else:
            batch = [waiting.popleft() for _ in range(min(len(waiting), BATCH))]
        for datagram, address in batch:
            self._victims.taken(self._process, datagram, address)
        return batch

    def send(self, datagram: bytes, address: Address) -> None:
        self._process.put(datagram, address)

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        for datagram in datagrams:
            self._process.put(datagram, address)
        return len(datagrams)

    def fileno(self) -> int:
        raise OSError("a simulated socket has no descriptor")

    def close(self) -> None:
        """Nothing is held."""


class SnapshotThread:
    """The thread that ``hosts.storage.snapshot_writer`` writes snapshots' data in, job by job, at the disk's pace."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._jobs: deque[Callable[[], None]] = deque()

    def put(self, job: Callable[[], None] | None) -> None:
        """Called by sinks."""
        assert job is not None
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._process.later_on_disk(self._next)

    def _next(self) -> None:
        try:
            self._jobs[0]()
        except OSError as error:
            host = self._process.node.host
            raise Violation("the log goes on", f"{host}'s thread for snapshots ends: {error}") from error
        self._jobs.popleft()
        if self._jobs:
            self._process.later_on_disk(self._next)


class Node:
    """A member with its disks, through all its lives."""

    def __init__(
        self, scene: Scene, network: Network, victims: Victims, member: int, host: str, address: Address
    ) -> None:
        self.scene = scene
        self.network = network
        self.victims = victims
        self.member = member
        self.host = host
        self.address = address
        self.watches = {number: watch for number, watch in scene.watches.items() if member in watch.members}
        disk_random = Random(f"disk/{scene.plan.seed}/{member}")
        self.disks = {number: SimDisk(disk_random, f"{host}/group-{number}") for number in self.watches}
        self._folders = SimFolders(Random(f"folders/{scene.plan.seed}/{member}"))
        self._log_ids = Random(f"log ids/{scene.plan.seed}/{member}")
        self._disk_random = disk_random
        self.joins = False
        """Whether it is started as one that begins with nothing."""
        self.lives = 0
        self.disk_us = scene.plan.disk_us
        self.process: Process | None = None
        self.host_is_up = True
        """Whether the host's kernel answers, whatever the process does."""
        self._writing: dict[int, Writing | None] = {}
        self.doom: Callable[[], None] | None = None
        """Called when the next write is under way: a crash that was waiting for it."""

    def start(self) -> None:
        """Begin a life with what the disks hold. Nothing if it is alive, or its disk is out of order."""
        if self.process is not None or any(disk.broken for disk in self.disks.values()):
            return
        self.host_is_up = True
        try:
            logs = self.open_logs()
        except LogError as error:
            self.scene.note(self.host, f"does not start: {error}")
            return
        self.lives += 1
        if self.lives > 1:
            self.scene.counts["node restarts"] += 1
        self.scene.note(self.host, "starts")
        self.process = Process(self, logs)

    def open_logs(self) -> dict[int, WatchedLog]:
        """Read the disks, as at a start. Raises LogError if the log has no room."""
        logs = {}
        for number, disk in self.disks.items():
            make_durably(self._folders, self._folder(number))
            try:
                log = DiskLog(
                    disk,
                    segment_bytes=self.scene.plan.segment_bytes,
                    draw_log_id=lambda: self._log_ids.randbytes(LOG_ID_BYTES),
                )
            except LogError as error:
                if _wants_room(error, for_the_log=True):
                    raise
                raise Violation("logs open after a crash", f"{self.host}: {error}") from error
            self.watches[number].recovered(self.member, log, self._writing.get(number))
            logs[number] = WatchedLog(log, self.watches[number], self.member)
        self._writing = {}
        return logs

    def _folder(self, number: int) -> Path:
        return Path(f"/nodes/{self.host}/group-{number}")

    def crash(self, *, power: bool, random: Random) -> None:
        """End the life at once, perhaps in the middle of writing."""
        process = self.process
        if process is None:
            return
        self._has_ended(process)
        if process.writing and random.random() < 0.7:
            for disk in self.disks.values():
                # A write has six calls, one that begins a segment as well up to twenty.
                disk.fuse = random.randrange(random.choice((6, 6, 20)))
            self._interrupt(process)
        if power:
            self._lose_power()
        else:
            for disk in self.disks.values():
                disk.kill_process()
        self.scene.counts["power losses" if power else "kills"] += 1
        self.scene.note(self.host, "loses power" if power else "is killed")

    def wipe(self, random: Random, *, keep: bool = False) -> None:
        """End the life, and delete the folders unless they are to be kept."""
        self.crash(power=False, random=random)
        if not keep:
            self.scene.note(self.host, "loses its folders")
            self.disks = {
                number: SimDisk(self._disk_random, f"{self.host}/group-{number}") for number in self.watches
            }
            self._writing = {}
            for watch in self.watches.values():
                watch.disks[self.member] = Promised()

    def _lose_power(self) -> None:
        self.host_is_up = False
        self._folders.lose_power()
        for number, disk in self.disks.items():
            before = disk.torn_writes
            disk.lose_power()
            self.scene.counts["torn writes"] += disk.torn_writes - before
            if not self._folders.exists(self._folder(number)):
                disk.vanish()

    def _has_ended(self, process: Process) -> None:
        self.process = self.doom = None
        process.alive = False
        for reason, count in process.drops().items():
            self.scene.counts[f"refused: {reason}"] += count
        for number, group in process.groups.items():
            self.watches[number].doubts.ends(group.core)
            for cause, count in group.hints_taken.items():
                self.scene.counts[f"hints taken: {cause.name.lower()}"] += count
        self.scene.counts["paths proved larger"] += process.larger_paths()
        for group in process.groups.values():
            for name, count in asdict(group.core.fanout_counts).items():
                self.scene.counts[_FANOUT[name]] += count
            for name, count in asdict(group.core.acknowledgement_counts).items():
                self.scene.counts[ACKNOWLEDGEMENTS[name]] += count
            for name, count in asdict(group.core.asking_counts).items():
                self.scene.counts[QUESTIONS[name]] += count
            for kind, count in group.reads_served.items():
                self.scene.counts[f"reads served: {kind}"] += count
            for name, count in asdict(group.core.gather_counts).items():
                self.scene.counts[GATHERING[name]] += count
        for name, count in process.gathered().items():
            self.scene.counts[f"gathered: {name}"] += count
        for watch in self.watches.values():
            self.scene.counts["ends of members that were waited for"] += watch.waits_for(self.member)

    def _interrupt(self, process: Process) -> None:
        """Begin what would have been written, until the fuse burns through."""
        try:
            process.write_all()
        except PowerLoss:
            self.scene.counts["writes cut short"] += 1
        except LogError:
            pass
        self._remember(process)

    def _remember(self, process: Process) -> None:
        self._writing = {number: log.writing for number, log in process.logs.items()}

    def stop(self, error: LogError) -> None:
        """The disk has failed: the node ends by itself. That it is full is a reason only where the log needs room."""
        process = self.process
        assert process is not None
        if _wants_room(error, for_the_log=False):
            raise Violation("the log goes on", f"{self.host} stops: {error}")
        self._remember(process)
        self._has_ended(process)
        for disk in self.disks.values():
            disk.kill_process()
        self.scene.counts["disk errors"] += 1
        self.scene.note(self.host, f"stops: {error}")


def _wants_room(error: LogError, *, for_the_log: bool) -> bool:
    """Whether a disk is full, and it is a file of the log, or another, that has no room."""
    cause = error.__cause__
    is_full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
    return is_full and for_the_log == ("/log-" in str(error))


class _SimMember(Member):
    """Shows the watch what is sent, and what arrives."""

    def __init__(self, process: Process) -> None:
        node, plan = process.node, process.node.scene.plan
        self._process = process
        self._watches = node.watches
        super().__init__(
            plan.cluster,
            node.member,
            process.outputs,
            joins=node.joins,
            seal=Seal(KEY, plan.topology.cluster, boot=node.lives) if plan.sealed else None,
            surroundings=process.surroundings,
            tuning=Tuning(
                core={**plan.core_options, "lease_ticks": plan.lease_ticks_of(node.member)},
                keep_entries=plan.kept_entries,
                pace=Pace(plan.effort, Steps(plan.step_bytes, plan.step_bytes)),
                make_core=WatchedRaft,
            ),
        )

    def step(self, group: int, message: Message) -> None:
        if message.target != self.number:
            raise Violation("misdelivered is dropped", f"{self._process.node.host} takes {message}")
        self._watches[group].takes(message)
        self._process.touch(group)
        Member.step(self, group, message)

    def unreachable(self, group: int, member: int, quoted: Quoted) -> None:
        self._process.touch(group)
        Member.unreachable(self, group, member, quoted)

    def request(self, header: Header, payload: Encoded, address: Address) -> None:
        self._process.touch(header.group)
        super().request(header, payload, address)

    def send(self, group: int, message: Message) -> None:
        self._watches[group].sending(message)
        Member.send(self, group, message)


class Process:
    """One life of a node."""

    def __init__(self, node: Node, logs: dict[int, WatchedLog]) -> None:
        self.node = node
        self._scene = scene = node.scene
        self._plan = scene.plan
        self.alive = True
        self.logs = logs
        self._events = scene.events
        self._random = Random(f"node/{scene.plan.seed}/{node.member}/{node.lives}")
        self._tick_us = scene.plan.tick_us[node.member]
        self._turn_at_once = scene.plan.turn_at_once
        self._epoch = scene.events.now
        self._ticks = 0
        self._wake_at = self._flush_at = _NEVER
        self._paused = False
        self._write_is_done = False
        self._queue: list[tuple[int, Work]] = []
        self.writing: list[tuple[int, Work]] = []
        self._socket = SimSocket(self)
        self._snapshot_thread = cast("SimpleQueue[Callable[[], None] | None]", SnapshotThread(self))
        self._member = _SimMember(self)
        self._transport = self._member.transport
        for number, log in logs.items():
            random = Random(f"core/{scene.plan.seed}/{node.member}/{node.lives}/{number}")
            machine = WatchedMachine(scene.plan.limits, node.watches[number], node.member)
            core = self._member.begin(number, log.log, random, machine=machine).core
            assert isinstance(core, WatchedRaft)
            core.watch = node.watches[number]
        self.groups = self._member.groups
        self._pairs = {number: (group, node.watches[number]) for number, group in self.groups.items()}
        self._all = tuple(self._pairs.values())
        self._touched = self._all
        """Groups that something has happened to since they were flushed."""
        self._truncations = dict.fromkeys(logs, 0)
        self._leads = dict.fromkeys(logs, False)
        self._held_since: dict[int, int] = {}
        """By group, when an acknowledgement began to be held back."""
        self._turn()

    @property
    def surroundings(self) -> Surroundings:
        """The transport's socket, clock and randomness."""
        events = self._events
        return Surroundings(
            lambda: events.now / SECOND,
            lambda _address, _largest, _wants_refusals: self._socket,
            lambda: self._random.getrandbits(64),
        )

    @property
    def outputs(self) -> MemberOutputs:
        """The disk, the trace and the clock."""
        return MemberOutputs(
            write=self._write,
            save=self._write,
            stage=self._sink,
            note=self._note,
            moved=lambda _: None,
            overdue_ticks=self._overdue_ticks,
        )

    # -- the loop -----------------------------------------------------------------------------------------------

    def receive(self, datagram: bytes, address: Address) -> None:
        """A datagram arrives at the socket."""
        waiting = self._socket.waiting
        if len(waiting) < SOCKET_DATAGRAMS:
            waiting.append((datagram, address))
        if self._paused:
            return
        if self._random.random() < self._turn_at_once:
            self._catch_up()
            self._drain()
            self._turn()
        else:
            self._wake_after((self._events.now - self._epoch) // self._tick_us + 1)

    def hear_refusal(self, refusal: Refusal) -> None:
        """ICMP's answer to a datagram arrives at the socket."""
        if not self._plan.hints.from_hosts:
            return
        self._socket.refusals.append(refusal)
        if not self._paused:
            self._catch_up()
            self._drain()
            self._turn()

    def takes_refusals(self, refusals: Sequence[Refusal]) -> None:
        """The transport takes refusals from the socket: what they say of members, the watches know, too."""
        gone = [refusal.destination for refusal in refusals if refusal.nobody_there]
        for member, place in self._scene.member_addresses.items():
            if place in gone:
                for group, watch in self._all:
                    watch.doubts.told_of_end(group.core, member)

    def _drain(self) -> None:
        """As the node's loop: what has come, and then what was refused."""
        self._transport.drain()
        if self._socket.refusals:
            self._transport.take_refusals()

    def asked(self, number: int, ask: Callable[[Raft], None]) -> None:
        """An operator asks something of a group, through the control socket. Nothing if the process does not run."""
        if self._paused or not self.alive:
            return
        self._catch_up()
        self.touch(number)
        ask(self.groups[number].core)
        if self._random.random() < self._plan.turn_at_once:
            self._turn()
        else:
            self._wake_after(self._ticks + 1)

    @property
    def ticks(self) -> int:
        """Ticks that the groups have been given in this life."""
        return self._ticks

    def drops(self) -> dict[str, int]:
        """Datagrams that the transport has refused in this life, by reason."""
        return self._transport.counters()["drops"]

    def gathered(self) -> dict[str, int]:
        """Packets with several members' acknowledgements that have come in this life, and what became of those."""
        return self._transport.gathered

    def larger_paths(self) -> int:
        """Members to which larger datagrams go than every path takes."""
        return sum(path["datagram"] > MAX_DATAGRAM for path in self._transport.paths().values())

    def pause(self) -> None:
        """Stop running, as under SIGSTOP."""
        self._paused = True

    def resume(self) -> None:
        """Go on. Time that has passed counts as a few ticks only."""
        if not self._paused or not self.alive:
            return
        self._paused = False
        self._wake_at = _NEVER
        # As the node's loop does: datagrams first.
        self._drain()
        delay = self._member.after_delay(self._overdue_ticks())
        self._epoch += delay.dropped * self._tick_us
        self._give_ticks(delay.given, delay.dropped)
        self._drain()
        if self._write_is_done:
            self._write_is_done = False
            self._written()
        if self.alive:
            self._turn()

    def _overdue_ticks(self) -> int:
        return (self._events.now - self._epoch) // self._tick_us - self._ticks

    def _catch_up(self, but: int = 0) -> None:
        """Give the ticks that have passed since the last turn, ``but`` so many. They are not late: nothing would have
        come of them before."""
        missing = (self._events.now - self._epoch) // self._tick_us - self._ticks - but
        if missing > 0:
            self._give_ticks(missing, 0)

    def _give_ticks(self, given: int, dropped: int) -> None:
        self._ticks += given
        self._touched = self._all
        self._member.tick(given, dropped)

    def _turn(self) -> None:
        """Flush what has been touched, let the watch look, and plan the next tick that matters."""
        touched, self._touched = self._touched, ()
        for group, watch in touched:
            group.flush()
            if group.busy:
                self._scene.counts["busy groups"] += 1
                self._scene.counts["candidates"] += group.candidates
                for _ in range(self._plan.flushes):
                    group.flush()
            core = group.core
            leads = core.role is Role.LEADER
            if leads or core.log.commit_index > len(watch.committed):
                watch.look(core)
            if leads:
                watch.turned(core)
            self._count(group)
            self._check_held(group)
        self._flush_in_time()
        self._touched = tuple([pair for pair in self._all if pair[0].busy])
        # A turn that is due with the next tick anyway need not be looked for.
        if self._wake_at > self._epoch + (self._ticks + 1) * self._tick_us:
            self._wake_after(self._ticks + self._idle_ticks())

    def _flush_in_time(self) -> None:
        """As the node's loop: there is a turn when an acknowledgement has been held back for long enough."""
        flush_by = min([group.flush_by for group, _ in self._all])
        if flush_by < NO_TIME:
            due = max(round(flush_by * SECOND), self._events.now) + 1
            if due < self._flush_at:
                self._flush_at = due
                self._events.at(due, self._flush, due)

    def _check_held(self, group: Group) -> None:
        """After a flush: nothing is held back for longer than it may be."""
        now = self._events.now
        if not group.core.holds_back:
            self._held_since.pop(group.number, None)
        elif now - self._held_since.setdefault(group.number, now) > HOLD_S * SECOND + 2:
            raise Violation("acknowledgements leave in time", f"{self.node.host} has held one since long ago")

    def _flush(self, due: int) -> None:
        if due != self._flush_at or not self.alive:
            return
        self._flush_at = _NEVER
        if not self._paused:
            self._catch_up()
            self._drain()
            self._touched = self._all
            self._turn()

    def _idle_ticks(self) -> int:
        """The tick that may do something next."""
        if self._touched or self._transport.waits or self._socket.waiting:
            return 1
        return min([group.idle_ticks for group, _ in self._all])

    def _wake_after(self, ticks: int) -> None:
        """At the latest with so many ticks of this life, there is a turn."""
        due = self._epoch + ticks * self._tick_us
        if due < self._wake_at:
            self._wake_at = due
            self._events.at(due, self._wake, due)

    def _wake(self, due: int) -> None:
        if due != self._wake_at or not self.alive:
            return
        self._wake_at = _NEVER
        if self._paused:
            return
        if self._socket.waiting:
            # The loop looks at the clock after the socket.
            self._catch_up(but=1)
            self._drain()
        self._catch_up()
        if self._socket.waiting:
            self._drain()
        self._turn()

    def _count(self, group: Group) -> None:
        core, number = group.core, group.number
        truncations = core.log.truncations
        if truncations != self._truncations[number]:
            self._scene.counts["truncations"] += truncations - self._truncations[number]
            self._truncations[number] = truncations
        leads = core.role is Role.LEADER
        if leads != self._leads[number]:
            self._leads[number] = leads
            if not leads:
                self._scene.counts["depositions"] += 1

    # -- what the node's parts tell each other --------------------------------------------------------------------

    def put(self, datagram: bytes, address: Address) -> None:
        """The transport sends."""
        if self.alive:
            node = self.node
            node.victims.sending(self, datagram, address)
            if len(datagram) == CHALLENGE_BYTES and datagram[1] == _REPLY:
                self._scene.counts["challenges"] += 1
            node.network.send(node.host, node.address[1], address, datagram)

    def touch(self, number: int) -> None:
        """Something has happened to a group: it is flushed in the next turn."""
        pair = self._pairs[number]
        if pair not in self._touched:
            self._touched += (pair,)

    def _note(self, text: str) -> None:
        self._scene.note(self.node.host, text)

    # -- the disk: snapshots' data, and the log in its own thread -------------------------------------------------

    def _sink(self, number: int) -> FileSink:
        log = self.logs[number].log
        return FileSink(self._snapshot_thread, log.open_stage)

    def later_on_disk(self, work: Callable[[], None]) -> None:
        """Do something when the disk has had time for it, if the process still lives and runs then."""
        takes_us = 1 + round(self.node.disk_us * self._random.uniform(0.5, 2.0))
        self._events.after(takes_us, self._on_disk, work)

    def _on_disk(self, work: Callable[[], None]) -> None:
        if self._paused and self.alive:
            self.later_on_disk(work)
        elif self.alive:
            work()

    # -- the storage thread ---------------------------------------------------------------------------------------

    def _write(self, number: int, work: Work) -> None:
        self._queue.append((number, work))
        if not self.writing:
            self._begin_write()

    def _begin_write(self) -> None:
        self.writing, self._queue = self._queue, []
        takes_us = 1 + round(self.node.disk_us * self._random.uniform(0.5, 2.0))
        if self.node.doom is not None:
            self._events.after(takes_us // 2, self._doom)
        self._events.after(takes_us, self._written_event)

    def _doom(self) -> None:
        if self.alive and self.node.doom is not None:
            self.node.doom()

    def write_all(self) -> list[tuple[int, Done]]:
        """What the storage thread does with a batch, and what became of it. Raises LogError, PowerLoss."""
        finished: list[tuple[int, Done]] = []
        for number, log in self.logs.items():
            done, _ = write_all(log, [work for owner, work in self.writing if owner == number])
            finished += [(number, one) for one in done]
        return finished

    def _written_event(self) -> None:
        if not self.alive:
            return
        if self._paused:
            self._write_is_done = True
            return
        self._catch_up()
        self._written()
        if self.alive:
            self._turn()

    def _written(self) -> None:
        """The disk has done what it was given."""
        try:
            done = self.write_all()
        except LogError as error:
            self.node.stop(error)
            return
        self.writing = []
        for number, work in done:
            self.touch(number)
            self._member.done(number, work)
        if self._queue:
            self._begin_write()


def processes(nodes: Sequence[Node]) -> list[Process]:
    """The processes that are alive."""
    return [node.process for node in nodes if node.process is not None]
