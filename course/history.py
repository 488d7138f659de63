"""A recorded run, with the state of its members after each event, as a lesson's claims look at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from web.recording import Event, Recording, read_hop


@dataclass(slots=True)
class State:
    """What is so after an event. ``members`` hold what recordings say of them, ``logs`` their entries from 1 on."""

    t: int = 0
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, list[Any]] = field(default_factory=dict)
    leaders: dict[str, Any] = field(default_factory=dict)
    """By group: what the controller knows of its leader."""
    drops: dict[tuple[str, str], int] = field(default_factory=dict)
    """Messages dropped so far, by place and reason."""
    message: int = 0
    """The one that the event is about; 0 for none."""
    tables: list[str] = field(default_factory=list)
    """Of the program, in the order of their numbers."""
    ways: dict[int, list[Any]] = field(default_factory=dict)
    hops: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    """By message: the switches that it has passed, and its way through each."""

    def take(self, event: Event) -> None:
        """Another event has happened."""
        who = event.get("who", "")
        self.t, self.message = event["t"], event.get("m", 0)
        if event["k"] == "member":
            self.members.setdefault(who, {}).update(event["set"])
        elif event["k"] == "log":
            log = self.logs.setdefault(who, [])
            log[event["at"] - 1 :] = event["entries"]
        elif event["k"] == "controller":
            self.leaders.update(event.get("set", {}).get("leaders", {}))
        elif event["k"] == "dropped":
            key = who, event["why"]
            self.drops[key] = self.drops.get(key, 0) + 1
        elif event["k"] == "way":
            self.ways[event["id"]] = event["steps"]
        elif event["k"] == "passed":
            hops = [read_hop(text) for text in event["hops"]]
            self.hops.setdefault(event["m"], []).extend((hop.switch, hop.way) for hop in hops)

    def role(self, host: str) -> str:
        """ "down" if it does not live."""
        one = self.members.get(host, {})
        return str(one.get("role", "")) if one.get("up") else "down"

    def of(self, host: str, name: str) -> Any:
        """One of a member's fields."""
        return self.members.get(host, {}).get(name)

    def entry(self, host: str, index: int) -> tuple[int, str] | None:
        """Term and kind of a member's entry; None if it has none."""
        log = self.logs.get(host, [])
        return (log[index - 1][0], log[index - 1][1]) if 0 < index <= len(log) else None

    def looked_up(self, switch: str, table: str) -> list[bool]:
        """Whether the event's message has hit a table of a switch, each time that it was looked up there."""
        return [
            step[3] is not None
            for name, way in self.hops.get(self.message, [])
            for step in self.ways[way]
            if name == switch and step[0] == "table" and self.tables[step[1]].rsplit(".", 1)[-1] == table
        ]

    def says(self, host: str, index: int) -> str:
        """What a member's entry holds, in words."""
        log = self.logs.get(host, [])
        return str(log[index - 1][2]) if 0 < index <= len(log) else ""


class History:
    """All events, with the state after each."""

    def __init__(self, recording: Recording) -> None:
        self.header: Mapping[str, Any] = recording.header
        self.events: list[Event] = list(recording.events)
        self.frames = {event["m"]: bytes.fromhex(event["frame"]) for event in self.events if event["k"] == "sent"}

    def walk(self) -> Iterator[tuple[int, Event, State]]:
        """Each event with its number, and the state after it: one object, which changes."""
        state = State(tables=[one["name"] for one in (self.header["program"] or {"tables": []})["tables"]])
        for number, event in enumerate(self.events):
            state.take(event)
            yield number, event, state


def without(recording: Recording, dropped: Iterable[int]) -> Recording:
    """A recording that lacks some events."""
    gone = set(dropped)
    return Recording(recording.header, [one for at, one in enumerate(recording.events) if at not in gone])
