"""What members show on their control sockets, as the events of a recording. Pure."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from hosts.config import TICK_MS
from web.remembered import exact

LONGEST_TEXT = 40
"""Characters of a key or value that are shown."""
MOST_ENTRIES = 64
"""New entries of a log that are told at a time."""
LAST_ENTRIES = 16
"""Of more, so many of the last ones: a member has better things to do then than to say what nobody can read."""
TIMER_US = 90_000
"""From one time that an election timer is told, with nothing else to tell, to the next."""

Json = dict[str, Any]


def shown_entry(line: Mapping[str, Any]) -> list[Any]:
    """An entry as recordings write it, of a line that answers ``raw``."""
    operands = [str(line[name]) for name in ("key", "value") if name in line]
    words = [str(line[name]) for name in ("operation", "error") if name in line]
    return [exact(int(line["term"])), str(line["kind"]), " ".join((*words, *map(_cut, operands)))]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


class SeenMember:
    """A member of a group, and what was told of it last."""

    def __init__(self, host: str, group: int, gap_us: int = 0) -> None:
        """``gap_us``: no less between two looks at a log that grows by more than can be told at a time."""
        self.host = host
        self.group = group
        self.status: Json = {}
        """What it said last; nothing while it does not run."""
        self._told: Json = {}
        self._timer_at = -TIMER_US
        self._gap_us = gap_us
        self._now_us = 0
        self._log_at_us = -gap_us
        self.races = False
        """Whether its log has grown by more than can be told at a time."""
        self._log_end = (0, 0)
        """Index and term of the last entry that was told."""

    def gone(self) -> list[Json]:
        """Its process does not run."""
        self.status = {}
        if not self._told.get("up"):
            return []
        return self._changes({"up": False, "paused": False, "progress": None, "timer": None})

    def paused(self, paused: bool) -> list[Json]:
        """Its process is stopped, or goes on."""
        return self._changes({"paused": paused}) if self._told.get("up") else []

    def seen(self, status: Json, now_us: int) -> list[Json]:
        """It has answered ``status`` with this about its group."""
        self.status, self._now_us = status, now_us
        self.races = 0 < self._log_end[0] < int(status["last_index"]) - MOST_ENTRIES
        now = _state(status)
        timer = now.pop("timer")
        if now.items() <= self._told.items() and timer and now_us - self._timer_at < TIMER_US:
            return []
        if timer:
            self._timer_at = now_us
        return self._changes({**now, "timer": timer})

    def _changes(self, now: Json) -> list[Json]:
        changed = {name: value for name, value in now.items() if name not in self._told or self._told[name] != value}
        self._told.update(changed)
        if not changed:
            return []
        return [{"k": "member", "who": self.host, "group": self.group, "set": changed}]

    def log_questions(self) -> Generator[Json, Sequence[Json], list[Json]]:
        """What to ask on its control socket in order to tell its log: each question is to be sent the lines that
        answer it. In the end the events are returned."""
        start = self.log_from()
        if start is None:
            return []
        request = {"cmd": "raw", "group": self.group, "brief": True}
        events = self.log_seen((yield {**request, "from": start}))
        if events is None:
            events = self.log_replaced((yield {**request, "from": self.committed_from()}))
        return events

    def log_from(self) -> int | None:
        """The index from which on its log is to be asked for; None if all of it is told, or it is too soon. The entry
        before what is new is asked for as well: where it is another one, the log was cut off there."""
        status = self.status
        if not status or (status["last_index"], status["last_term"]) == self._log_end:
            return None
        end, last = self._log_end[0], int(status["last_index"])
        if last - end > MOST_ENTRIES and self._now_us - self._log_at_us < self._gap_us:
            return None
        start = end if 0 < end <= last else int(status["commit"])
        most = LAST_ENTRIES if last - start > MOST_ENTRIES else MOST_ENTRIES
        return max(start, int(status["first_index"]), last - most + 1)

    def committed_from(self) -> int:
        """From where on the log may be another one."""
        status = self.status
        return max(1, min(int(status["commit"]), self._log_end[0]), int(status["last_index"]) - MOST_ENTRIES + 1)

    def log_seen(self, lines: Sequence[Json]) -> list[Json] | None:
        """Entries of its log, in order, as asked for; None if they must be asked for from ``committed_from`` on."""
        entries = [line for line in lines if "index" in line and "ok" not in line]
        if not entries:
            return []
        end, term = self._log_end
        first = entries[0]
        if first["index"] == end and first["term"] != term:
            return None
        if first["index"] == end:
            entries = entries[1:]
        return self._log_changes(entries)

    def log_replaced(self, lines: Sequence[Json]) -> list[Json]:
        """Entries of its log from ``committed_from`` on."""
        return self._log_changes([line for line in lines if "index" in line and "ok" not in line])

    def _log_changes(self, entries: Sequence[Json]) -> list[Json]:
        if not entries:
            return []
        self._log_end = entries[-1]["index"], entries[-1]["term"]
        self._log_at_us = self._now_us
        shown = [shown_entry(line) for line in entries]
        return [{"k": "log", "who": self.host, "group": self.group, "at": entries[0]["index"], "entries": shown}]


def _state(status: Json) -> Json:
    """By the names of recordings."""
    progress = status.get("progress")
    timer = status["timer_ticks"]
    return {
        "up": True,
        "paused": False,
        "role": status["role"],
        "term": exact(status["term"]),
        "vote": max(0, status["voted_for"]),
        "leader": status["leader"],
        "commit": status["commit"],
        "applied": status["applied"],
        "last": status["last_index"],
        "durable": status["durable_index"],
        "base": status["first_index"] - 1,
        "snapshot": {"index": status["snapshot"], "term": status["snapshot_term"]} if status["snapshot"] else None,
        "voters": status["voters"],
        "outgoing": status["outgoing"],
        "learners": status["learners"],
        "progress": None
        if progress is None
        else {
            member: {"match": one["match_index"], "next": one["next_index"], "mode": one["mode"]}
            for member, one in progress.items()
        },
        "timer": None if timer is None else [ticks * TICK_MS * 1000 for ticks in timer],
    }
