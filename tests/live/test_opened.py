"""A packet that is opened in the living page: what is worked out of it is what its switches have done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from controller.desired import diff
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import Flag, Header
from sim.run import compile_program
from tests.follow.network import BEGAN_NS, GROUP, LEADER, TERM, TRIANGLE, Lab
from topo.errors import LabError
from topo.follow.journeys import Journey
from topo.live.kept import KEPT_NS, Kept, Reading
from topo.live.messages import MOST_BYTES, Messages
from topo.live.opened import MOST_WAITING, Line, Opener, about_entries, seen
from topo.live.switches import SeenSwitch
from topo.views.taps import Frame

REGISTERS = [f"ingress.leader_watch.{name}" for name in ("heard_term", "heard_leader", "last_heard")]
S = 10**9

# -- what was read --------------------------------------------------------------------------------------------------


def test_what_was_read_about_a_time() -> None:
    kept = Kept[str]()
    assert kept.about(5) is None
    for time_ns, value in ((10, "a"), (20, "a"), (30, "b"), (40, "b")):
        kept.add(time_ns, value)
    assert kept.about(5) == Reading("a", None, 5)
    assert kept.about(10) == Reading("a", 0, 10)
    assert kept.about(15) == Reading("a", 5, 5)
    assert kept.about(25) == Reading("a", 5, 5, changed=True)
    assert kept.about(44) == Reading("b", 4, None)
    kept.add(30 + 2 * KEPT_NS, "c")
    assert kept.about(25) == Reading("c", None, 5 + 2 * KEPT_NS)


def test_of_which_time_the_entries_are_is_said() -> None:
    none = frozenset[Any]()
    assert about_entries("s1", Reading(none, S // 2, None)).endswith("when they were read 0.5 s before it")
    assert about_entries("s1", Reading(none, S // 2, 2 * S)).endswith("0.5 s before it, and 2.0 s after it")
    assert "so this is not sure" in about_entries("s1", Reading(none, S // 2, 2 * S, changed=True))
    assert "2.0 s after it: those of then were not read" in about_entries("s1", Reading(none, None, 2 * S))


# -- what is worked out ---------------------------------------------------------------------------------------------


@pytest.fixture
def lab() -> Iterator[Lab]:
    one = Lab()
    yield one
    one.close()


def lines_of(frames: Iterable[Frame]) -> list[Line]:
    """What the recorder has of frames, with what was not seen to arrive."""
    messages = Messages(TRIANGLE)
    events = [event for one in frames for event in messages.seen(one.time_ns, one.interface, one.outgoing, one.data)]
    events += messages.look_back(BEGAN_NS + 60 * S)
    return [((at_ns - BEGAN_NS) // 1000, json.dumps(event)) for at_ns, event in events]


def switches(lab: Lab, at_ns: int = BEGAN_NS) -> dict[str, SeenSwitch]:
    """The switches of a lab as they were read once."""
    found = {}
    for name, one in lab.switches.items():
        switch = found[name] = SeenSwitch(name, REGISTERS, {GROUP: 0})
        switch.runs(True)
        switch.holds(one.entries(), at_ns)
    return found


def opened(lab: Lab, m: int, lines: Sequence[Line], read: dict[str, SeenSwitch] | None = None) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        program = compile_program()
        opener = Opener(TRIANGLE, program, read or switches(lab), BEGAN_NS, BEGAN_NS - 10 * S)
        try:
            (at_us,) = [t for t, text in lines if json.loads(text).get("m") == m and '"sent"' in text]
            return await opener.open(m, at_us, lines)
        finally:
            await opener.close()

    return asyncio.run(ask())


def followed(lab: Lab, frames: Iterable[Frame]) -> Journey:
    """The last packet's way, as `switchraft follow` has it."""
    follower = lab.follower(lambda _: "any")
    follower.take(frames)
    return list(follower.journeys.values())[-1]


def heartbeat(lab: Lab, term: int = TERM) -> list[Frame]:
    header = Header(MessageType.APPEND_ENTRIES, LEADER, EVERYBODY, GROUP, term, flags=Flag.FANOUT)
    service = str(TRIANGLE.groups[0].service), TRIANGLE.port
    return lab.send("h1", lab.frame("h1", service, header.pack() + bytes(16)))


def looked_up(answer: dict[str, Any], hop: dict[str, Any]) -> int:
    return sum(step[0] == "table" for step in answer["ways"][str(hop["way"])])


def test_copies_are_told_as_they_were_made(lab: Lab) -> None:
    frames = heartbeat(lab)
    answer, journey = opened(lab, 1, lines_of(frames)), followed(lab, frames)
    assert len(answer["hops"]) == len(journey.hops) == 3
    for hop, known in zip(answer["hops"], journey.hops, strict=True):
        assert looked_up(answer, hop) == len(known.traced.lookups)
        sent = [step[1] for step in answer["ways"][str(hop["way"])] if step[0] == "sent"]
        assert sent == [port for port, _ in known.traced.outputs]
        assert f"the entries that {known.switch} held" in hop["entries"]
    said = [text for hop in answer["hops"] for text in hop["said"]]
    assert {text.partition(" out")[0] for text in said if "copy" in text} == {"a copy for h2", "a copy for h3"}
    assert answer["ends"] == [] and ["ipv4.ttl", 8] in answer["fields"]


def test_what_a_switch_has_heard_before_decides(lab: Lab) -> None:
    """A stale term is dropped because packets that came in before went through the shadow."""
    frames = heartbeat(lab)
    stale = Header(MessageType.REQUEST_VOTE, 2, 1, GROUP, TERM - 1)
    frames += lab.send("h2", lab.peer("h2", "h1", stale))
    lines = lines_of(frames)
    (hop,) = opened(lab, 2, lines)["hops"]
    assert hop["said"] == ["dropped: stale_term"]
    assert followed(lab, frames).reasons == ["stale_term"]
    # Alone it would have passed: the way says what was seen and cannot be explained.
    alone = opened(lab, 2, [line for line in lines if json.loads(line[1])["m"] == 2])
    assert alone["hops"][0]["said"] == ["out of port 3, to s1, port 3"]
    assert alone["ends"] == ["never seen at s1, port 3"]


def test_entries_are_those_of_then(lab: Lab) -> None:
    header = Header(MessageType.CLIENT_REQUEST, group=GROUP, index=1, log_term=5)
    target = str(TRIANGLE.host("h3").ip), TRIANGLE.port
    lines = lines_of(lab.send("h11", lab.frame("h11", target, header.pack() + bytes(16), port=40_000)))
    read = switches(lab)
    for name, switch in lab.switches.items():
        routes = [one for one in switch.entries() if getattr(one, "table", "") != "leader_route"]
        read[name].holds(routes, BEGAN_NS + 5 * S)
    answer = opened(lab, 1, lines, read)
    first = answer["hops"][0]
    assert any(text.startswith("steered from h3") and "to h1" in text for text in first["said"])
    assert first["entries"].endswith("they were others, so this is not sure")
    assert diff(routes, switch.entries())


def test_of_a_long_frame_the_beginning_is_enough(lab: Lab) -> None:
    header = Header(MessageType.APPEND_ENTRIES, LEADER, 2, GROUP, TERM)
    frames = lab.send("h1", lab.peer("h1", "h2", header, bytes(1000)))
    assert len(frames[0].data) > MOST_BYTES
    assert seen(1, lines_of(frames), BEGAN_NS, TRIANGLE.port).passed[0][4][:MOST_BYTES] == frames[0].data[:MOST_BYTES]
    answer = opened(lab, 1, lines_of(frames))
    assert [hop["said"] for hop in answer["hops"]] == [["out of port 3, to s2, port 3"], ["out of port 1, to h2"]]


# -- what is refused ------------------------------------------------------------------------------------------------


def test_what_cannot_be_worked_out_is_said(lab: Lab) -> None:
    lines = lines_of(heartbeat(lab))
    unread = {name: SeenSwitch(name, REGISTERS, {GROUP: 0}) for name in lab.switches}
    with pytest.raises(LabError, match="the tables of s1 were not read yet"):
        opened(lab, 1, lines, unread)
    with pytest.raises(LabError, match="remembered no more"):
        opened(lab, 1, [line for line in lines if '"passed"' not in line[1]])


def test_only_so_many_wait(lab: Lab) -> None:
    lines = lines_of(heartbeat(lab))

    async def ask() -> list[Any]:
        opener = Opener(TRIANGLE, compile_program(), switches(lab), BEGAN_NS, BEGAN_NS - 10 * S)
        try:
            asked = (opener.open(1, lines[0][0], lines) for _ in range(MOST_WAITING + 2))
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await opener.close()

    answers = asyncio.run(ask())
    refused = [one for one in answers if isinstance(one, LabError)]
    assert len(refused) == 2 and "too many packets" in str(refused[0])
    told = [one for one in answers if not isinstance(one, LabError)]
    assert all(one["hops"] == told[0]["hops"] for one in told)
