"""Ways of packets that become several: what is told of each copy is what the program has done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from controller.desired import Leadership, View, desired_entries, diff
from controller.network import FEATURES, parse
from hosts.raft.message import EVERYBODY, Message, MessageType
from hosts.wire import pack_peer
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program_json import load_json
from sim.fabric import SimSwitch
from sim.frames import Sender, pack
from sim.run import compile_program
from topo import topology
from topo.lab.configs import network
from web.ways import Ways

PLACE = topology.find("five")


@pytest.fixture(scope="module")
def switch() -> Iterator[SimSwitch]:
    """The switch of member 1, which leads."""
    told = parse(network(PLACE))
    member = PLACE.host(PLACE.groups[0].members[1])
    with Pipeline.load(load_json(compile_program())) as template:
        one = SimSwitch(member.switch, 0, template, Counter())
        view = View(
            links=frozenset(told.links),
            leaders={PLACE.groups[0].id: Leadership(leader=1, term=1)},
            features=frozenset(FEATURES),
        )
        for write in diff(desired_entries(told, member.switch, view), ()):
            one.write(write)
        yield one
        one.pipeline.close()


def test_copies_are_told_one_after_the_other(switch: SimSwitch) -> None:
    told: dict[int, list[Any]] = {}
    data = load_json(compile_program())
    ways = Ways(switch.pipeline, data, told.__setitem__)
    host = PLACE.host(PLACE.groups[0].members[1])
    message = Message(MessageType.APPEND_ENTRIES, 1, EVERYBODY, 1)
    header, payload = pack_peer(message, group=PLACE.groups[0].id, cluster=1, fanout=True)
    sender = Sender(str(host.ip), host.mac, host.gateway_mac)
    service = str(PLACE.groups[0].service), PLACE.port
    frame = pack(sender, PLACE.port, service, header.pack() + payload, checksum=True)
    port = next(one.port for one in PLACE.hosts if one.name == host.name)
    expected = switch.pipeline.step(port, frame, 10_000).packets
    assert len(expected) > 1
    for again in range(2):  # the second time by what is remembered of the first
        output, way, _, reason = ways.step(switch.pipeline, 1, port, frame, 20_000 + again, {})
        assert output.packets == expected and not reason
        kinds = [step[0] for step in told[way]]
        assert [step[1] for step in told[way] if step[0] == "sent"] == [port for port, _ in expected]
        assert kinds.count("copy") == len(expected) - 1
        assert [kinds[at - 1] for at, kind in enumerate(kinds) if kind == "copy"] == ["sent"] * (len(expected) - 1)
    assert len(told) == 1
