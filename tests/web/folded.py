"""A recording's state at moments, worked out here once more: what the page must show."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

from web.recording import Recording

Json = dict[str, Any]


class State:
    """Members by (host, group), switches' tables by name."""

    def __init__(self) -> None:
        self.members: dict[tuple[str, int], Json] = {}
        self.logs: dict[tuple[str, int], tuple[int, list[list[Any]]]] = {}
        self.up: dict[str, int] = {}
        """When each switch that is up has started."""
        self.tables: dict[str, dict[str, dict[str, Json]]] = {}
        self.registers: dict[str, dict[tuple[str, int], int]] = {}

    def take(self, event: Json) -> None:
        who = event.get("who", "")
        if event["k"] == "member":
            key = who, event["group"]
            member = self.members.setdefault(key, {})
            member.update(event["set"])
            base, entries = self.logs.get(key, (0, []))
            if member.get("base", 0) > base:
                self.logs[key] = member["base"], entries[member["base"] - base :]
        elif event["k"] == "log":
            key = who, event["group"]
            base, entries = self.logs.get(key, (0, []))
            kept = event["at"] - base - 1
            if 0 <= kept <= len(entries):
                self.logs[key] = base, entries[:kept] + event["entries"]
            else:
                self.logs[key] = event["at"] - 1, list(event["entries"])
        elif event["k"] == "switch":
            self.tables[who], self.registers[who] = {}, {}
            self.up.pop(who, None)
            if event["up"]:
                self.up[who] = event["t"]
        elif event["k"] == "table":
            entries_of = self.tables[who].setdefault(event["table"], {})
            if event["do"] == "delete":
                del entries_of[str(event["match"])]
            else:
                entries_of[str(event["match"])] = event
        elif event["k"] == "registers":
            for name, index, value in event["set"]:
                self.registers[who][name, index] = event["t"] - self.up[who] if value == "now" else int(value)


class Folded:
    """A recording with its states."""

    def __init__(self, recording: Recording) -> None:
        self.header = recording.header
        self.events = recording.events
        self._times = [event["t"] for event in self.events]

    def count_at(self, t: int) -> int:
        """Events up to a time."""
        return bisect_right(self._times, t)

    def after(self, count: int) -> State:
        (state,) = self.states([count])
        return state

    def states(self, counts: Iterable[int]) -> Iterator[State]:
        """The state after so many events, for each of rising counts; it is the next one's as soon as that is asked
        for."""
        state, taken = State(), 0
        for count in counts:
            for event in self.events[taken:count]:
                state.take(dict(event))
            taken = count
            yield state

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.events if event["k"] == kind]
