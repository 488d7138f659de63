"""The last minutes of a run that goes on: what has happened in them, and the state in which they begin.

What is older than the window is folded into that state, so that whoever opens the window reads a whole recording: the
state, told as events at time 0, then the events. Time is counted from the window's beginning as it is then.
"""

from __future__ import annotations

import copy
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from web.recording import Event, Writer, fault_of

LENGTH_US = 600_000_000
MOST_BYTES = 96 << 20
"""Of events as text; a busy lab's window is shorter then."""

MOST_LEFT = 8192
"""Events that have left, and are still in the list: it is cut when there are more."""

Json = dict[str, Any]


class Behind(Exception):
    """A reader has not read for so long that what it was to read next is gone: open the window again."""


class Window:
    """Events in the order of time. ``add`` raises ValueError for one that does not fit."""

    def __init__(self, header: Mapping[str, Any], length_us: int = LENGTH_US, most_bytes: int = MOST_BYTES) -> None:
        self.header = dict(header)
        self.first = 0
        """The number of the oldest event that is here; they are numbered from 0 on, and ``next`` is still to come."""
        self.next = 0
        self.size = 0
        """Bytes of all events here."""
        self.length_us = length_us
        self._most_bytes = most_bytes
        self._events: list[tuple[int, str]] = []
        self._left = 0
        """How many of these have left. No deque: from its ends to its middle it is a long way."""
        self._past = Past()

    @property
    def end_us(self) -> int:
        """The time of the last event."""
        return self._events[-1][0] if self.next > self.first else self._past.t

    @property
    def begin_us(self) -> int:
        """The time at which it begins."""
        return self._past.t

    def add(self, event: Event) -> None:
        """The next event; what has become too old, or too much, leaves."""
        wrong = fault_of(event, self.end_us)
        if wrong:
            raise ValueError(f"{wrong}: {event}")
        rest = {name: value for name, value in event.items() if name != "t"}
        text = json.dumps(rest, separators=(",", ":"))
        self._events.append((event["t"], text))
        self.next += 1
        self.size += len(text)
        while self.first < self.next and (self._oldest < event["t"] - self.length_us or self.size > self._most_bytes):
            self._leave()

    @property
    def _oldest(self) -> int:
        return self._events[self._left][0]

    def _leave(self) -> None:
        t, text = self._events[self._left]
        self._events[self._left] = (t, "")
        self._left += 1
        if self._left > MOST_LEFT:
            del self._events[: self._left]
            self._left = 0
        self.first += 1
        self.size -= len(text)
        self._past.apply({"t": t, **json.loads(text)})

    def open(self) -> Reader:
        """Read from the beginning on, and then what comes."""
        return Reader(self)

    def events(self, number: int, base_us: int) -> Iterator[str]:
        """The lines of events from a number on, with times from ``base_us``. Of messages that were sent before the
        window nothing is told. Raises Behind."""
        if number < self.first:
            raise Behind
        for at in range(number - self.first + self._left, len(self._events)):
            t, text = self._events[at]
            if not self._past.is_about_earlier(text):
                yield f'{{"t":{t - base_us},{text[1:]}'

    def between(self, from_us: int, to_us: int) -> list[tuple[int, str]]:
        """Events of a time: of each when it happens, and its text, JSON without that."""
        begin = bisect_left(self._events, from_us, lo=self._left, key=lambda one: one[0])
        end = bisect_right(self._events, to_us, lo=begin, key=lambda one: one[0])
        return self._events[begin:end]

    def opening(self, base_us: int) -> Iterator[str]:
        """The state at the beginning, as events."""
        for event in self._past.told():
            yield json.dumps({"t": self._past.t - base_us, **event}, separators=(",", ":"))

    def still(self) -> Window:
        """The window as it is now, which another thread may read."""
        other = Window(self.header, self.length_us, self._most_bytes)
        other.first, other.next, other.size = self.first, self.next, self.size
        other._events, other._left = self._events.copy(), self._left
        other._past = copy.deepcopy(self._past)
        return other

    def save(self, file: Path, from_us: int = 0, to_us: int | None = None) -> int:
        """Write a recording of all, or of the time between two times of the run. Returns the number of events.
        Raises OSError."""
        chosen = Past()
        begin = max(from_us, self._past.t)
        until = self.end_us if to_us is None else to_us
        for event in self._past.told():
            chosen.apply({"t": self._past.t, **event})
        with Writer(file, self.header_at(begin)) as writer:
            opened = False
            for line in self.events(self.first, 0):
                event = json.loads(line)
                if event["t"] > until:
                    break
                if event["t"] < begin:
                    chosen.apply(event)
                    continue
                if not opened:
                    opened = True
                    chosen.t = begin
                    self._write_all(writer, chosen)
                if not chosen.is_about_earlier(line):
                    writer.write({**event, "t": event["t"] - begin})
            if not opened:
                chosen.t = begin
                self._write_all(writer, chosen)
            writer.write({"t": max(0, until - begin), "k": "end", "text": "the recording of the lab ends here"})
            return writer.events

    @staticmethod
    def _write_all(writer: Writer, past: Past) -> None:
        for event in past.told():
            writer.write({"t": 0, **event})

    def header_at(self, base_us: int) -> Json:
        """The header of what begins at a time of this run."""
        return {**self.header, "began": self.header.get("began", 0) + base_us / 1e6}


class Reader:
    """A place in a window, of one who reads all of it."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.base_us = window.begin_us
        self._at = -1

    def take(self, most: int = 5000) -> list[str]:
        """The next lines, as many at most; the first is the header. Raises Behind."""
        window = self._window
        lines: list[str] = []
        if self._at < 0:
            header = {"format": "switchraft recording", "version": 1, **window.header_at(self.base_us)}
            lines = [json.dumps(header), *window.opening(self.base_us)]
            self._at = window.first
        until = min(window.next, self._at + most)
        for line, _ in zip(window.events(self._at, self.base_us), range(until - self._at), strict=False):
            lines.append(line)
        self._at = until
        return lines

    @property
    def waiting(self) -> int:
        """How many events there are to be read."""
        return self._window.next - max(self._at, self._window.first)


class Past:
    """The state that events have led to, as page/state.js makes it, and told as events again."""

    def __init__(self) -> None:
        self.t = 0
        self._members: dict[tuple[str, int], Json] = {}
        self._logs: dict[tuple[str, int], tuple[int, list[Any]]] = {}
        self._switches: dict[str, Json] = {}
        self._controllers: dict[str, Json] = {}
        self._faults: dict[int, Json] = {}
        self._calls: dict[int, Json] = {}
        self._ways: dict[int, Json] = {}
        self._last_sent = 0

    def apply(self, event: Event) -> None:
        """What happens next."""
        self.t = event["t"]
        take = getattr(self, f"_{event['k']}", None)
        if take is not None:
            take(event)

    def is_about_earlier(self, line: str) -> bool:
        """Whether a line is about a message that was sent before."""
        for kind in ('"k":"passed"', '"k":"received"', '"k":"dropped"'):
            if kind in line:
                return int(json.loads(line)["m"]) <= self._last_sent
        return False

    def told(self) -> Iterator[Json]:
        """The events that lead to this state, without their time."""
        yield from self._ways.values()
        for name, one in self._switches.items():
            yield {"k": "switch", "who": name, "up": one["up"]}
            for event in one["entries"].values():
                yield {**event, "do": "insert"}
            for kind in ("registers", "counters"):
                if one[kind]:
                    yield {"k": kind, "who": name, "set": [[*cell, *held] for cell, held in one[kind].items()]}
        for name, known in self._controllers.items():
            yield {"k": "controller", "who": name, "set": known}
        for (host, group), held in self._members.items():
            shown = dict(held)
            if shown.get("timer"):
                since, length = shown["timer"]
                shown["timer"] = [max(0, self.t - since), length]
            yield {"k": "member", "who": host, "group": group, "set": shown}
            base, entries = self._logs.get((host, group), (0, []))
            if entries:
                yield {"k": "log", "who": host, "group": group, "at": base + 1, "entries": entries}
        yield from self._faults.values()
        yield from self._calls.values()

    def _member(self, event: Event) -> None:
        key = event["who"], event["group"]
        held = self._members.setdefault(key, {})
        held.update(event["set"])
        if event["set"].get("timer"):
            held["timer"] = [event["t"] - event["set"]["timer"][0], event["set"]["timer"][1]]
        base, entries = self._logs.get(key, (0, []))
        gone = held.get("base", 0) - base
        if gone > 0:
            self._logs[key] = base + gone, entries[gone:]

    def _log(self, event: Event) -> None:
        key = event["who"], event["group"]
        base, entries = self._logs.get(key, (0, []))
        kept = event["at"] - base - 1
        if 0 <= kept <= len(entries):
            self._logs[key] = base, entries[:kept] + event["entries"]
        else:
            self._logs[key] = event["at"] - 1, list(event["entries"])

    def _switch(self, event: Event) -> None:
        self._switches[event["who"]] = {
            "up": event["up"],
            "since": event["t"],
            "entries": {},
            "registers": {},
            "counters": {},
        }

    def _table(self, event: Event) -> None:
        entries = self._switches[event["who"]]["entries"]
        key = event["table"], json.dumps(event["match"])
        if event["do"] == "delete":
            entries.pop(key, None)
        else:
            entries[key] = {name: value for name, value in event.items() if name != "t"}

    def _registers(self, event: Event) -> None:
        one = self._switches[event["who"]]
        for name, index, value in event["set"]:
            one["registers"][name, index] = (event["t"] - one["since"] if value == "now" else value,)

    def _counters(self, event: Event) -> None:
        for name, index, *numbers in event["set"]:
            self._switches[event["who"]]["counters"][name, index] = numbers

    def _controller(self, event: Event) -> None:
        if "set" in event:
            self._controllers[event["who"]] = {**self._controllers.get(event["who"], {}), **event["set"]}

    def _fault(self, event: Event) -> None:
        self._faults[event["fault"]] = {name: value for name, value in event.items() if name != "t"}

    def _healed(self, event: Event) -> None:
        self._faults.pop(event["fault"], None)

    def _call(self, event: Event) -> None:
        self._calls[event["call"]] = {name: value for name, value in event.items() if name != "t"}

    def _answer(self, event: Event) -> None:
        self._calls.pop(event["call"], None)

    def _way(self, event: Event) -> None:
        self._ways[event["id"]] = {name: value for name, value in event.items() if name != "t"}

    def _sent(self, event: Event) -> None:
        self._last_sent = max(self._last_sent, event["m"])
