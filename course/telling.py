"""What a lesson's step may look for in a run: predicates over an event and the state after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from course.history import State
from hosts.raft.message import MessageType
from hosts.wire import Header, WireError
from sim.frames import PAYLOAD_AT
from web.recording import Event

Frames = Mapping[int, bytes]
Find = Callable[[Event, State, Frames], bool]
Holds = Callable[[State], bool]


def member(who: str, **fields: Any) -> Find:
    """A member's state changes so that fields have these values now."""

    def found(event: Event, state: State, _: Frames) -> bool:
        return (
            event["k"] == "member"
            and event["who"] == who
            and bool(fields.keys() & event["set"].keys())
            and all(state.of(who, name) == value for name, value in fields.items())
        )

    return found


def log(who: str, index: int, term: int, kind: str) -> Find:
    """A member's log gets an entry."""

    def found(event: Event, state: State, _: Frames) -> bool:
        return (
            event["k"] == "log"
            and event["who"] == who
            and event["at"] <= index
            and state.entry(who, index) == (term, kind)
        )

    return found


def message(what: str, kind: MessageType, who: str, **fields: Any) -> Find:
    """A message is sent, received or dropped somewhere. ``fields``: of the event (to, why, astray) or the header."""

    def found(event: Event, _: State, frames: Frames) -> bool:
        if event["k"] != what or event["who"] != who:
            return False
        try:
            header = Header.unpack(frames[event["m"]][PAYLOAD_AT:])
        except WireError:
            return False
        return header.type == kind and all(
            (getattr(header, name) if hasattr(header, name) else event.get(name)) == value
            for name, value in fields.items()
        )

    return found


def happens(kind: str, who: str, **fields: Any) -> Find:
    """Any other event, by its fields; of a text its beginning."""

    def found(event: Event, _: State, __: Frames) -> bool:
        return event["k"] == kind and event["who"] == who and all(_fits(event, *one) for one in fields.items())

    return found


def _fits(event: Event, name: str, value: Any) -> bool:
    told = event.get(name)
    return str(told).startswith(value) if name == "text" else bool(told == value)


# -- what is so at a moment -------------------------------------------------------------------------


def of(who: str, **fields: Any) -> Holds:
    """A member's fields have these values."""
    return lambda state: all(state.of(who, name) == value for name, value in fields.items())


def role(who: str, wanted: str) -> Holds:
    """A member's role, or "down"."""
    return lambda state: state.role(who) == wanted


def holds(who: str, index: int, term: int, kind: str = "", says: str = "") -> Holds:
    """A member's log holds an entry."""

    def so(state: State) -> bool:
        entry = state.entry(who, index)
        return (
            entry is not None
            and entry[0] == term
            and kind in ("", entry[1])
            and state.says(who, index).startswith(says)
        )

    return so


def lacks(who: str, index: int) -> Holds:
    """A member's log ends before an index."""
    return lambda state: state.entry(who, index) is None


def uncommitted(index: int, *who: str) -> Holds:
    """As far as these members know, what is at an index is not committed."""
    return lambda state: all((state.of(one, "commit") or 0) < index for one in who)


def all_of(*these: Holds) -> Holds:
    """All of it is so."""
    return lambda state: all(one(state) for one in these)


def dropped(where: str, why: str, times: int) -> Holds:
    """So many messages have been dropped at a place for a reason."""
    return lambda state: state.drops.get((where, why), 0) == times


def hit(switch: str, table: str, found: bool = True) -> Holds:
    """The event's message has hit a table of a switch, or missed it."""
    return lambda state: state.looked_up(switch, table) == [found]


def led_by(leader: int, term: int) -> Holds:
    """What the controller knows of the group's leader."""
    return lambda state: state.leaders.get("1", {}).get("leader") == leader and state.leaders["1"].get("term") == term
