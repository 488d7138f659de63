"""Runs a scenario: a text file of commands, each followed by what it leads to. See ``scenarios/*.txt``.

> members 3 [option=value …]      that many voters; options are Config's
> logs                            from here on, members that begin have logs with ids: 10 times their own, rising
> wipe 3                          its folder is deleted, and it starts again
> newcomer 4                      a host that knows nobody
> campaign 1                      member 1's election timeout passes
> tick 5 [1]                      ticks of everyone, or of one
> deliver                         what is in flight arrives, with its consequences, until nothing is in flight
> step                            what is in flight now arrives; the answers stay in flight
> drop                            what is in flight is lost
> propose 1 text · read 1 · transfer 1 2 · compact 1 [keep]
> change 1 add=4,5 remove=1 learners=6
> cut 3 · join 3                  messages to and from it are lost from now on, or no more
> stall 3 · write 3               its disk takes nothing, or everything that waits
> crash 3 · start 3
> state                           everyone's
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from random import Random

from hosts.raft.core import Busy, Config, InvalidChange, NotLeader, Raft, Ready
from hosts.raft.message import EntryKind, Message, MessageType
from tests.raft.network import Disk

_NAMES = {kind: kind.name.title().replace("_", "") for kind in MessageType}


def show(message: Message) -> str:
    """One line of a transcript."""
    text = f"{message.source} -> {message.target} {_NAMES[message.type]} term {message.term}"
    kind = message.type
    if kind is MessageType.APPEND_ENTRIES:
        text += f" after {message.index}/{message.log_term} commit {message.commit}"
        if message.entries:
            text += " [" + " ".join(f"{one.index}/{one.term}" for one in message.entries) + "]"
    elif kind is MessageType.INSTALL_SNAPSHOT:
        text += f" {message.index}/{message.log_term} at {message.commit}, {len(message.data)} bytes"
        text += ", more" if message.more else ""
    elif kind is MessageType.INSTALL_SNAPSHOT_REPLY:
        text += f" {message.index}/{message.log_term} wants {message.commit}"
    elif kind is MessageType.APPEND_ENTRIES_REPLY:
        text += f" {message.index}" + (f" hint {message.commit}/{message.log_term}" if message.reject else "")
    elif kind in (MessageType.PRE_VOTE, MessageType.REQUEST_VOTE):
        text += f" last {message.index}/{message.log_term}"
    text += f" from log {message.log_id}" if message.log_id else ""
    return text + (" REJECT" if message.reject else "")


class Transcript:
    """Members with instantaneous disks, and the messages between them."""

    def __init__(self) -> None:
        self.rafts: dict[int, Raft] = {}
        self.disks: dict[int, Disk] = {}
        self.configs: dict[int, Config] = {}
        self.waiting: dict[int, deque[Ready]] = {}
        self.stalled: set[int] = set()
        self.away: set[int] = set()
        self.flying: deque[Message] = deque()
        self.out: list[str] = []
        self.shown: dict[int, str] = {}
        self.identified = False

    def run(self, text: str) -> str:
        """The scenario with what its commands lead to now."""
        lines = []
        for line in text.splitlines():
            if line.startswith("> "):
                lines.append(line)
                self.out = []
                command, *arguments = line[2:].split()
                getattr(self, f"do_{command}")(*arguments)
                self._serve()
                lines += [f"    {one}" for one in self.out]
            elif not line.startswith("    "):
                lines.append(line)
        return "\n".join(lines) + "\n"

    # -- commands -----------------------------------------------------------------------------------------------

    def do_members(self, count: str, *options: str) -> None:
        chosen = {"election_timeout_ticks": 10, "heartbeat_ticks": 2}
        chosen |= {name: int(value) for name, value in (one.split("=") for one in options)}
        self.options = chosen
        ids = frozenset(range(1, int(count) + 1))
        for one in sorted(ids):
            self._add(one, ids)

    def do_newcomer(self, member: str) -> None:
        self._add(int(member), frozenset())

    def _add(self, member: int, ids: frozenset[int]) -> None:
        self.configs[member] = Config(member, ids, **self.options)
        self.disks[member] = Disk(log_id=10 * member if self.identified else 0)
        self.do_start(str(member))

    def do_logs(self) -> None:
        self.identified = True

    def do_wipe(self, member: str) -> None:
        self.disks[int(member)] = Disk(log_id=self.disks[int(member)].log_id + 1)
        self.do_start(member)

    def do_start(self, member: str) -> None:
        one, disk = int(member), self.disks[int(member)]
        disk.recover()
        config = replace(self.configs[one], log_id=disk.log_id)
        self.rafts[one] = Raft(config, disk.hard_state, disk.entries, Random(one), disk.snapshot)
        self.waiting[one] = deque()
        self.shown[one] = self._role(one)

    def do_crash(self, member: str) -> None:
        del self.rafts[int(member)]

    def do_campaign(self, member: str) -> None:
        raft = self.rafts[int(member)]
        for _ in range(raft.idle_ticks):
            raft.tick()

    def do_tick(self, count: str, member: str = "") -> None:
        for _ in range(int(count)):
            for one, raft in self.rafts.items():
                if member in ("", str(one)):
                    raft.tick()
                    self._serve()

    def do_step(self) -> None:
        self._serve()
        for _ in range(len(self.flying)):
            message = self.flying.popleft()
            lost = not {message.source, message.target}.isdisjoint(self.away) or message.target not in self.rafts
            self.out.append(show(message) + (" (lost)" if lost else ""))
            if not lost:
                self.rafts[message.target].step(message)
                self._serve()

    def do_deliver(self) -> None:
        self._serve()
        while self.flying:
            self.do_step()

    def do_drop(self) -> None:
        self.flying.clear()

    def do_propose(self, member: str, text: str) -> None:
        self._try(member, lambda raft: "proposed {1}/{0}".format(*raft.propose(text.encode())))

    def do_read(self, member: str) -> None:
        self._try(member, lambda raft: f"read {raft.read()}")

    def do_transfer(self, member: str, to: str) -> None:
        self._try(member, lambda raft: raft.transfer(int(to)))

    def do_change(self, member: str, *parts: str) -> None:
        ids = {name: [int(one) for one in value.split(",")] for name, value in (part.split("=") for part in parts)}
        add, learners = (dict.fromkeys(ids.get(name, []), b"") for name in ("add", "learners"))
        self._try(member, lambda raft: raft.change_membership(add, ids.get("remove", []), learners))

    def do_compact(self, member: str, keep: str = "0") -> None:
        raft = self.rafts[int(member)]
        snapshot = raft.take_snapshot(raft.commit_index, b"state at %d" % raft.commit_index)
        self.disks[int(member)].save(snapshot)
        raft.compact(snapshot, int(keep))

    def do_cut(self, member: str) -> None:
        self.away.add(int(member))

    def do_join(self, member: str) -> None:
        self.away.discard(int(member))

    def do_stall(self, member: str) -> None:
        self.stalled.add(int(member))

    def do_write(self, member: str) -> None:
        self.stalled.discard(int(member))
        while self.waiting[int(member)]:
            self._write(int(member))

    def do_state(self) -> None:
        for one, raft in self.rafts.items():
            log = raft.log
            terms = " ".join(str(log.term_at(index)) for index in range(log.base_index + 1, log.last_index + 1))
            text = (
                f"{one}: {raft.role.value} term {raft.current_term} leader {raft.leader} commit {raft.commit_index}"
            )
            self.out.append(f"{text} log after {log.base_index}: [{terms}]")
            for member, progress in raft.status().get("progress", {}).items():
                self.out.append(
                    f"   {member} {progress['mode']} match {progress['match_index']} next {progress['next_index']}"
                    + ("" if progress["counts"] else " does not count")
                )
            self.out += [f"   {member} {why}" for member, why in raft.lost.items()]
            if raft.refuses_votes:
                self.out.append("   refuses its vote")

    # -- what a node does ---------------------------------------------------------------------------------------

    def _try(self, member: str, what: object) -> None:
        try:
            said = what(self.rafts[int(member)])  # type: ignore[operator]
        except (NotLeader, Busy, InvalidChange, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            self.out.append(said)

    def _serve(self) -> None:
        for one, raft in list(self.rafts.items()):
            while (ready := raft.ready()) is not None:
                self._tell(one, ready)
                self.flying += ready.messages
                if ready.needs_disk or ready.after:
                    self.waiting[one].append(ready)
                    if one not in self.stalled:
                        self._write(one)
            if self.shown[one] != self._role(one):
                self.shown[one] = self._role(one)
                self.out.append(f"{one} is {self.shown[one]}")

    def _write(self, member: int) -> None:
        ready = self.waiting[member].popleft()
        self.disks[member].write(ready)
        self.rafts[member].advance(ready)
        self.flying += ready.after

    def _tell(self, member: int, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.out.append(f"{member} restores the snapshot at {ready.snapshot.index}")
        for entry in ready.committed:
            what = "" if entry.kind is EntryKind.COMMAND else f" ({entry.kind.name.lower()})"
            self.out.append(f"{member} applies {entry.index}/{entry.term}{what}")
        for number, index in ready.reads:
            self.out.append(f"{member} serves read {number} at {index}")
        if ready.committed_configuration is not None and ready.committed_configuration.index:
            part = ready.committed_configuration.membership
            text = f"voters {sorted(part.voters)}"
            text += f" and {sorted(part.outgoing)}" if part.outgoing else ""
            text += f", learners {sorted(part.learners)}" if part.learners else ""
            known = ready.committed_configuration.log_ids
            text += f", logs {[known[one] for one in sorted(known)]}" if known else ""
            self.out.append(f"{member} knows as committed: {text}")

    def _role(self, member: int) -> str:
        raft = self.rafts[member]
        return f"{raft.role.value} in term {raft.current_term}"
