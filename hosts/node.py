"""A node: one process with one UDP socket, a storage thread and a control socket, for all groups of a member.

    drain the socket -> step -> ready: send what may leave at once -> the storage thread syncs the rest
    -> send what depended on the disk -> apply what is committed -> answer clients

The loop never waits for the disk, so that a slow one does not silence heartbeats.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hosts import config
from hosts.clock import boottime
from hosts.config import TICK_MS, Cluster, ConfigError
from hosts.control import member_commands, views
from hosts.control.socket import ControlServer
from hosts.group import Group
from hosts.measures import BOUNDS_S
from hosts.member import Member, MemberOutputs
from hosts.net.seal import KeyFault, Seal, next_boot, read_key
from hosts.service.snapshots import Unusable
from hosts.storage.errors import explain
from hosts.storage.folder_owner import NotOurs, claim
from hosts.storage.log import DiskLog, LogError
from hosts.storage.log_writer import Writer
from hosts.storage.moves import Moves
from hosts.storage.readdress import forget_moves, load_moves
from hosts.storage.snapshot_writer import Stager
from hosts.storage.sudo_owner import give_to_invoking_user, make_folder

TICK_S = TICK_MS / 1000

WORK_S = 0.004
"""Spent at a time on what takes long, before the socket and the clock are looked at again."""

PAUSE_S = 1.0
"""A delay worth a line to people."""

STOP_S = 5.0

OpenLog = Callable[[Path], Any]
"""Opens the log in a folder: ``DiskLog.open``, or a test's."""


class NodeError(RuntimeError):
    """The node cannot start or go on; one line that says what to do."""


class Node:
    """Everything between ``__init__``, which binds and opens, and ``close``."""

    def __init__(
        self, cluster: Cluster, member: int, open_log: OpenLog = DiskLog.open, *, joins: bool = False
    ) -> None:
        """``joins``: a member that has lost its data begins with nothing, like a spare. Raises NodeError."""
        self.joins = joins
        self.cluster = cluster
        self.member = member
        self.name = cluster.name_of(member)
        self.address = cluster.address_of(member)
        self.folder = cluster.folder_of(member).absolute()
        self.notes: Callable[[str], None] = self._print
        self._started = boottime()
        self._going = True
        self._next_tick = boottime() + TICK_S
        self._epoll = select.epoll()
        with contextlib.ExitStack() as undo:
            undo.callback(self._epoll.close)
            self._member = self._open_member(self._open_seal())
            self._groups, self._transport = self._member.groups, self._member.transport
            undo.callback(self._transport.close)
            self._logs = self._open_logs(open_log, undo)
            self._writer = Writer(dict(self._logs))
            undo.callback(self._writer.close, STOP_S)
            self._stager = Stager(self._writer.wake)
            undo.callback(self._stager.close, STOP_S)
            for group, log in self._logs.items():
                self._member.begin(group, log, random.Random(os.urandom(16)), moves=self._load_moves(group))
                if isinstance(log, DiskLog):
                    log.forget_found()
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            try:
                self._control = ControlServer(self.folder / "control.sock", self._epoll, self._answer)
            except OSError as error:
                raise NodeError(f"cannot be made: {explain(error, self.folder / 'control.sock')}") from error
            give_to_invoking_user(self.folder / "control.sock")
            undo.pop_all()
        for fd in (self._transport.socket.fileno(), self._writer.wakeup, self._wake):
            self._epoll.register(fd, select.EPOLLIN)

    # -- opening ------------------------------------------------------------------------------------------------

    def _open_seal(self) -> Seal | None:
        key_file = self.cluster.key_file
        if key_file is None:
            return None
        try:
            key = read_key(key_file)
            make_folder(self.folder)
            return Seal(key, self.cluster.id, next_boot(self.folder / "boot"))
        except KeyFault as fault:
            raise NodeError(str(fault)) from fault
        except OSError as error:
            raise NodeError(f"cannot be written: {explain(error, self.folder / 'boot')}") from error

    def _open_member(self, seal: Seal | None) -> Member:
        outputs = MemberOutputs(
            write=lambda group, ready: self._writer.write(group, ready),
            save=lambda group, snapshot: self._writer.save(group, snapshot),
            stage=lambda group: self._stager.sink(self._logs[group].open_stage),
            note=self._note,
            moved=self._forget_moves,
            overdue_ticks=self._overdue_ticks,
        )
        try:
            return Member(self.cluster, self.member, outputs, joins=self.joins, seal=seal)
        except OSError as error:
            where = f"{self.address[0]}:{self.address[1]}"
            advice = {
                98: "another program holds it; stop that one, or choose another port in the cluster file",
                99: "this machine has no such address; is --id right, and is this the right host?",
                13: "ports below 1024 need root",
            }.get(error.errno or 0, "check the cluster file")
            raise NodeError(f"cannot bind UDP {where}: {error.strerror}: {advice}") from error

    def _open_logs(self, open_log: OpenLog, undo: contextlib.ExitStack) -> dict[int, Any]:
        logs: dict[int, Any] = {}
        for group in self.cluster.groups_of(self.member):
            folder = self._group_folder(group.id)
            try:
                make_folder(folder)
                logs[group.id] = open_log(folder)
            except LogError as error:
                raise NodeError(str(error)) from error
            except OSError as error:
                raise NodeError(
                    f"cannot be made: {explain(error, folder)}; 'data' in the cluster file says where nodes write"
                ) from error
            undo.callback(logs[group.id].close)
            self._claim(folder, group.id)
            for note in logs[group.id].notes:
                self.notes(f"group {group.id}: {note}")
        return logs

    def _claim(self, folder: Path, group: int) -> None:
        try:
            claim(folder, self.cluster.id, group, self.member)
        except NotOurs as error:
            raise NodeError(str(error)) from error
        except OSError as error:
            raise NodeError(f"cannot be written: {explain(error, folder)}") from error

    def _load_moves(self, number: int) -> Moves:
        try:
            moves = load_moves(self._group_folder(number))
        except (OSError, ValueError) as error:
            raise NodeError(str(error)) from error
        for member, move in sorted(moves.by_member.items()):
            self._note(f"group {number}: member {member} has moved: {move}")
        return moves

    def _forget_moves(self, number: int) -> None:
        with contextlib.suppress(OSError):  # what stays changes nothing that is committed since
            forget_moves(self._group_folder(number))

    def _group_folder(self, number: int) -> Path:
        return self.folder / f"group-{number}"

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until ``stop``. Raises NodeError if the disk fails, and Unusable for a snapshot from the leader."""
        transport, groups = self._transport, list(self._groups.values())
        udp, disk = transport.socket.fileno(), self._writer.wakeup
        control, poll, clock = self._control, self._epoll.poll, boottime
        self._next_tick = clock() + TICK_S
        busy = False
        while self._going:
            if transport.has_more:
                transport.drain()
            due = min(self._next_tick, *[group.flush_by for group in groups])
            for fd, events in poll(0.0 if busy or transport.has_more else max(0.0, due - clock())):
                if fd == udp:
                    transport.drain()
                    if events & select.EPOLLERR and not transport.has_more:
                        transport.take_refusals()
                elif fd == disk:
                    self._take_written()
                elif control.owns(fd):
                    control.handle()
            now = clock()
            if now >= self._next_tick:
                self._give_ticks(now)
            for group in groups:
                group.flush()
            busy = self._go_on(now + WORK_S)

    def _overdue_ticks(self) -> int:
        late = boottime() - self._next_tick
        return 0 if late < 0 else 1 + int(late / TICK_S)

    def _give_ticks(self, now: float) -> None:
        late = int((now - self._next_tick) / TICK_S)
        if late * TICK_S > PAUSE_S:
            self._note(f"was not running for {late * TICK_S:.1f} s")
        delay = self._member.after_delay(1 + late)
        self._next_tick += TICK_S * (1 + late)
        self._member.tick(delay.given, delay.dropped)

    def _go_on(self, until: float) -> bool:
        """Flush groups that have more to do than they did. True if some still have when time is up."""
        busy = [group for group in self._groups.values() if group.busy]
        while busy and boottime() < until:
            for group in busy:
                group.flush()
            busy = [group for group in busy if group.busy]
        return bool(busy)

    def stop(self) -> None:
        """Let ``run`` return soon. May be called from a signal handler."""
        self._going = False
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Let go of everything; what was given to the disk is written first."""
        self._control.close()
        self._stager.close(STOP_S)
        self._writer.close(STOP_S)
        self._transport.close()
        self._epoll.close()
        os.close(self._wake)

    def _take_written(self) -> None:
        for group, work in self._writer.take_done():
            self._member.done(group, work)
        failure = self._writer.failure or self._stager.failure
        if failure is not None:
            raise NodeError(
                f"stopped, because nothing more can be made durable: {failure}. What was acknowledged is there: once "
                "that is mended, start this member again"
            ) from failure

    # -- people -------------------------------------------------------------------------------------------------

    def status(self, durations: bool = False) -> dict[str, Any]:
        """What the control socket's ``status`` answers. ``durations``: with how long things took."""
        status: dict[str, Any] = {
            "ok": True,
            "name": self.name,
            "id": self.member,
            "address": f"{self.address[0]}:{self.address[1]}",
            "pid": os.getpid(),
            "uptime_s": round(boottime() - self._started, 3),
            "groups": [group.status() for group in self._groups.values()],
            "counters": {**self._transport.counters(), "syncs": self._writer.syncs},
            "peers": self._transport.peers(),
            "fan_outs": self._transport.fan_outs(),
            "gathered": dict(sorted(self._transport.gathered.items())),
            "paths": self._transport.paths(),
        }
        if durations:
            status["bounds_s"] = BOUNDS_S
            for shown in status["groups"]:
                number = shown["group"]
                log = self._logs[number]
                shown["durations"] = {
                    **self._groups[number].durations(),
                    **({"syncs": log.syncs.shown()} if isinstance(log, DiskLog) else {}),
                }
        return status

    def _answer(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if request.get("cmd") == "status":
            return iter([self.status(durations=request.get("durations") is True)])
        if request.get("cmd") in member_commands.COMMANDS:
            group = views.group_of(self._groups, request)
            if isinstance(group, Group):
                spares = self.cluster.group(group.number).spares
                return iter([member_commands.answer(group, request, spares, self.cluster.port)])
            return iter([group])
        return views.answer(self._groups, request)

    def _note(self, text: str) -> None:
        self.notes(text)

    def _print(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {text}", file=sys.stderr, flush=True)


def run(config_path: str | Path, member: int, *, joins: bool = False) -> int:
    """Run a member's node until SIGTERM or SIGINT; the exit code. Mistakes are one line on stderr."""
    try:
        loaded = config.load_with_warnings(config_path)
        if member not in loaded.cluster.node_ids:
            known = ", ".join(map(str, loaded.cluster.node_ids))
            raise ConfigError(f"{config_path}: groups: there is no member {member}; there are {known}")
        for warning in loaded.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        node = Node(loaded.cluster, member, joins=joins)
    except (ConfigError, NodeError, Unusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return serve(node)


def serve(node: Node) -> int:
    """Run an opened node until a signal ends it, and close it. The exit code."""
    # The storage thread must not wait 5 ms for the interpreter while the loop computes.
    sys.setswitchinterval(0.0005)
    gc.freeze()
    gc.set_threshold(50_000, 20, 1000)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: node.stop())
    groups = ", ".join(str(group.id) for group in node.cluster.groups_of(node.member))
    node.notes(f"member {node.member} serves group {groups} at {node.address[0]}:{node.address[1]}")
    try:
        node.run()
    except (NodeError, Unusable) as error:
        print(f"error: {node.name}: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        node.close()
    node.notes("stopped")
    return 0


def main() -> int:
    """``python -m hosts.node --config FILE --id N``."""
    parser = argparse.ArgumentParser(prog="python -m hosts.node", description="Run a Raft node.")
    parser.add_argument("--config", required=True, metavar="FILE", help="cluster.yaml")
    parser.add_argument("--id", required=True, type=int, metavar="N", help="which member to be")
    parser.add_argument(
        "--join", action="store_true", help="begin with nothing: the leader has added, or will add, it"
    )
    arguments = parser.parse_args()
    return run(arguments.config, arguments.id, joins=arguments.join)


if __name__ == "__main__":
    sys.exit(main())
