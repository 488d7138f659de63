"""What is remembered of a run that goes on is a whole recording at every moment: its state, then its events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.folded import Folded
from web import recording
from web.recording import Recording
from web.window import Behind, Window

NETWORK = {
    "port": 26410,
    "switches": ["s1"],
    "hosts": [{"name": f"h{n}", "ip": f"10.0.1.{n}", "switch": "s1", "port": n, "member": n} for n in (1, 2)],
    "links": [],
    "groups": [{"id": 1, "service": None, "members": {"1": "h1", "2": "h2"}}],
    "heartbeat_us": 50_000,
    "election_us": 300_000,
}
HEADER: dict[str, Any] = {"title": "a lab", "source": "lab", "network": NETWORK, "program": None, "began": 1000.0}


def drawn(seed: int, count: int = 400) -> Iterator[dict[str, Any]]:
    """A run of all that a state is made of."""
    rng = random.Random(seed)
    yield {"t": 0, "k": "switch", "who": "s1", "up": True}
    last = {"h1": 0, "h2": 0}
    base = {"h1": 0, "h2": 0}
    held: set[int] = set()
    for t in range(1, count):
        host = rng.choice(["h1", "h2"])
        member = {"t": 10 * t, "k": "member", "who": host, "group": 1}
        what = rng.randrange(8)
        if what == 0:
            yield {**member, "set": {"up": True, "term": t, "timer": [rng.randrange(100), 300]}}
        elif what == 1:
            at = rng.randrange(base[host], last[host] + 1) + 1
            last[host] = at + rng.randrange(3)
            entries = [[t, "command", f"{t}-{n}"] for n in range(at, last[host] + 1)]
            yield {"t": 10 * t, "k": "log", "who": host, "group": 1, "at": at, "entries": entries}
        elif what == 2:
            base[host] = rng.randrange(base[host], last[host] + 1)
            yield {**member, "set": {"base": base[host], "last": last[host]}}
        elif what == 3:
            number = rng.randrange(5)
            do = "insert" if number not in held else rng.choice(["modify", "delete"])
            (held.discard if do == "delete" else held.add)(number)
            more = {} if do == "delete" else {"action": "a", "values": [t]}
            yield {"t": 10 * t, "k": "table", "who": "s1", "table": "t", "do": do, "match": [number], **more}
        elif what == 4:
            yield {"t": 10 * t, "k": "registers", "who": "s1", "set": [["r", rng.randrange(3), t]]}
        elif what == 5:
            yield {"t": 10 * t, "k": "controller", "who": "controller", "set": {rng.choice("ab"): [t]}}
        elif what == 6:
            yield {"t": 10 * t, "k": "fault", "fault": t, "what": "cut", "by": "hand", "on": "s1"}
            if rng.random() < 0.7:
                yield {"t": 10 * t, "k": "healed", "fault": t}
        else:
            yield {"t": 10 * t, "k": "sent", "who": host, "m": t, "frame": "00"}
            if rng.random() < 0.5:
                yield {"t": 10 * t, "k": "received", "who": host, "m": t}


def whole(events: list[dict[str, Any]]) -> Any:
    folded = Folded(Recording({"format": recording.FORMAT, "version": 1, **HEADER}, events))
    return folded.after(len(events))


def seen(state: Any) -> Any:
    """What a state shows: without when its entries were written, and timers, which are told from another moment."""
    return (
        {key: {name: held for name, held in one.items() if name != "timer"} for key, one in state.members.items()},
        {key: held for key, held in state.logs.items() if held[1]},
        {
            switch: {
                table: {key: (one["action"], one["values"]) for key, one in entries.items()}
                for table, entries in tables.items()
                if entries
            }
            for switch, tables in state.tables.items()
        },
        state.registers,
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("length_us", [1, 500, 1500, 10**9])
def test_whoever_opens_it_late_has_the_state_of_one_who_has_seen_all(seed: int, length_us: int) -> None:
    window = Window(HEADER, length_us)
    events = list(drawn(seed))
    early = window.open()
    for event in events:
        window.add(event)
    reader = window.open()
    lines = reader.take(10**6)
    told = [json.loads(line) for line in lines[1:]]
    assert all(not recording.fault_of(event) for event in told)
    assert [event["t"] for event in told] == sorted(event["t"] for event in told)
    assert seen(whole(told)) == seen(whole(events))
    if length_us < 10 * len(events):
        assert window.first > 0
        early.take(1)
        window.add({"t": 10**9, "k": "note", "who": "lab", "text": ""})
        window.add({"t": 3 * 10**9, "k": "note", "who": "lab", "text": ""})
        with pytest.raises(Behind):
            early.take()


def test_a_timer_that_ran_before_it_still_runs() -> None:
    window = Window(HEADER, 100)
    window.add({"t": 50, "k": "member", "who": "h1", "group": 1, "set": {"up": True, "timer": [20, 300]}})
    window.add({"t": 90, "k": "note", "who": "lab", "text": ""})
    window.add({"t": 190, "k": "note", "who": "lab", "text": ""})
    (member,) = [json.loads(line) for line in window.open().take() if '"member"' in line and "format" not in line]
    assert window.begin_us == 50 and member["set"]["timer"] == [20, 300]
    window.add({"t": 195, "k": "note", "who": "lab", "text": ""})
    window.add({"t": 250, "k": "note", "who": "lab", "text": ""})
    (member,) = [json.loads(line) for line in window.open().take() if '"member"' in line and "format" not in line]
    assert window.begin_us == 90 and member["set"]["timer"] == [60, 300]


def test_messages_that_were_sent_before_it_are_not_spoken_of() -> None:
    window = Window(HEADER, 100)
    window.add({"t": 0, "k": "sent", "who": "h1", "m": 1, "frame": "00"})
    window.add({"t": 60, "k": "sent", "who": "h1", "m": 2, "frame": "00"})
    window.add({"t": 130, "k": "received", "who": "h2", "m": 1})
    window.add({"t": 140, "k": "received", "who": "h2", "m": 2})
    told = [json.loads(line) for line in window.open().take()[1:]]
    assert [(event["k"], event["m"]) for event in told] == [("sent", 2), ("received", 2)]


def test_what_has_no_bytes_in_utf_8_is_told_as_escapes() -> None:
    window = Window(HEADER, 100)
    event = {"t": 0, "k": "log", "who": "h1", "group": 1, "at": 1, "entries": [[1, "command", "\ud800"]]}
    window.add(event)
    window.add({"t": 50, "k": "note", "who": "h1", "text": "\udfff"})
    told = "\n".join(window.open().take()).encode()
    assert rb"\ud800" in told and rb"\udfff" in told


def test_it_holds_no_more_than_its_time_and_its_bytes() -> None:
    window = Window(HEADER, 1000, 5000)
    for t in range(0, 100_000, 10):
        window.add({"t": t, "k": "note", "who": "h1", "text": "x" * 20})
        assert window.size <= 5000
    assert window.end_us - window.begin_us <= 1010
    assert window.next - window.first <= 101


def test_a_moment_and_all_of_it_are_saved_as_recordings(tmp_path: Path) -> None:
    window = Window(HEADER, 2000)
    events = list(drawn(3))
    for event in events:
        window.add(event)
    still = window.still()
    window.add({"t": 10**6, "k": "note", "who": "lab", "text": "later"})
    assert still.save(tmp_path / "all.rec") > 100
    found = recording.read(tmp_path / "all.rec")
    assert found.header["began"] == pytest.approx(HEADER["began"] + still.begin_us / 1e6)
    assert found.events[-1]["k"] == "end"
    still.save(tmp_path / "moment.rec", 3000, 3300)
    moment = recording.read(tmp_path / "moment.rec")
    assert moment.header["began"] == pytest.approx(HEADER["began"] + 0.003)
    assert moment.events[-1]["t"] == 300
    assert seen(whole(list(moment.events))) == seen(whole([event for event in events if event["t"] <= 3300]))


def test_what_does_not_fit_is_refused() -> None:
    window = Window(HEADER)
    window.add({"t": 5, "k": "note", "who": "h1", "text": ""})
    with pytest.raises(ValueError, match="lies before"):
        window.add({"t": 4, "k": "note", "who": "h1", "text": ""})
    with pytest.raises(ValueError, match="no kind"):
        window.add({"t": 6, "k": "nonsense"})
