"""A packet that is opened in the living page shows, switch by switch, what `switchraft follow` tells of it."""

from __future__ import annotations

from typing import Any

from hosts.raft.message import MessageType
from hosts.wire import Header
from tests.lab.conftest import Lab
from tests.lab.forge import datagram, send
from tests.lab.hostile import ATTEMPTS, a_follower, undisturbed
from tests.lab.test_follow import waiting
from tests.live.living import LivePage

Json = dict[str, Any]

MEANWHILE_US = 1_500_000
"""So long after a packet was sent the page has all that it will ever have of it."""

FIND = (
    "const [frame, at] = arguments, { run } = switchraft;"
    "const found = run.messages.filter((one) => one && frame.startsWith(one.event.frame));"
    "const far = (one) => Math.abs(run.header.began * 1e6 + one.t - at);"
    "return found.sort((a, b) => far(a) - far(b))[0]?.m ?? null"
)


class NotSeen(AssertionError):
    """The page has left the packet out, as it does where packets come fast: on a machine that stalls they do."""


def open_(live: LivePage, packet: Json) -> int:
    """Open a packet that `follow` has told of, once the page has all of its way; its number there. Raises NotSeen."""
    at_us = packet["sent_ns"] / 1000
    live.until(
        lambda: live.js("return switchraft.run.header.began * 1e6 + switchraft.run.end") > at_us + MEANWHILE_US
    )
    m = live.js(FIND, packet["frame"], at_us)
    if live.js("return switchraft.run.messages[arguments[0]]?.hops?.length", m) != len(packet["hops"]):
        raise NotSeen(packet)
    live.choose("message", m)
    live.until(lambda: live.js("return document.querySelector('.steps') ?? document.querySelector('#panel .told')"))
    live.until(lambda: live.js("return document.querySelectorAll('.steps li.table').length"))
    return m


def as_shown(lookup: Json) -> list[str]:
    """A look-up of `follow` as the page shows it."""
    does = "no action"
    if lookup["action"]:
        given = (
            (name, int(value, 16) if value.startswith("0x") else value) for name, value in lookup["params"].items()
        )
        does = f"{lookup['action'].rpartition('.')[2]}({', '.join(f'{name} {value}' for name, value in given)})"
    return [lookup["table"], "hit" if lookup["hit"] else "miss", ", ".join(lookup["key"].values()), does]


def compare(live: LivePage, packet: Json) -> None:
    """Each switch: tables with keys, entries and actions, where the packet goes on, and what became of it."""
    m = open_(live, packet)
    hops = live.js("return switchraft.run.messages[arguments[0]].hops.map((hop) => hop.split(' ', 2))", m)
    assert hops == [[hop["switch"], str(hop["port"])] for hop in packet["hops"]]
    for number, hop in enumerate(packet["hops"]):
        live.js("switchraft.chooseHop(arguments[0])", number)
        live.frames(1)
        assert live.ask("tables") == [as_shown(one) for one in hop["tables"]], (hop["switch"], packet["role"])
        ports = [title.removeprefix("Out by port ") for _, title in live.ask("steps") if title.startswith("Out ")]
        expected = [str(one["port"]) for one in hop["outputs"]]
        assert sorted(ports) == sorted(expected + ["Out to the controller"] * hop["to_controller"])
        said = str(live.js("return document.querySelector('#panel .said').textContent"))
        assert f"the entries that {hop['switch']} held when they were read" in said
        assert (f"dropped: {hop['dropped']}" in said) == bool(hop["dropped"])
        assert ("steered from" in said) == (hop["steered"] is not None)
        for one in hop["outputs"]:
            copy = f"a copy for {one['copy_for']} " if one["copy_for"] else ""
            assert f"{copy}out of port {one['port']}, to {one['to']}" in said
    assert live.js("return document.querySelectorAll('#panel .bad').length") == 0


def test_the_packets_of_a_write(lab: Lab, live: LivePage) -> None:
    for attempt in range(ATTEMPTS):
        leader = lab.leader()
        said = lab.json("follow", "put", "colour", '"teal"', "--to", a_follower(lab, leader), "--from", "h11")
        roles = {packet["role"]: packet for packet in said["packets"]}
        assert {"request", "append", "acknowledgement", "commit", "answer"} <= roles.keys()
        try:
            for packet in roles.values():
                compare(live, packet)
            break
        except NotSeen:
            if attempt == ATTEMPTS - 1:
                raise
    live.quiet()


def test_a_packet_that_is_dropped_for_what_the_switch_has_heard(lab: Lab, live: LivePage) -> None:
    topology = lab.live.topology

    def replay(leader: str, term: int) -> None:
        replayer = a_follower(lab, leader)
        source, target = topology.member_id(replayer), topology.member_id(leader)
        header = Header(MessageType.APPEND_ENTRIES, source, target, 1, term - 1)
        old = datagram(lab.live, header, at=replayer, to=leader)
        wanted = f"type=AppendEntries from={replayer} term={term - 1} drop=stale_term"
        with waiting(lab, wanted) as said:
            send(lab.live, replayer, [old])
            (packet,) = said()["packets"]
        compare(live, packet)

    undisturbed(lab, replay)
    live.quiet()


def test_what_cannot_be_worked_out_is_told(lab: Lab, live: LivePage) -> None:
    answer = live.driver.execute_async_script(
        "const done = arguments[0]; switchraft.live.ask({open: 1e9, at: Date.now() * 1000}).then(done)"
    )
    assert answer["ok"] is False and "remembered no more" in answer["text"]
