"""Whatever a client puts, reads or sends, the leader's heartbeats go on: real nodes, whose term stays as it was."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from hosts.client.blocking import Client
from hosts.service import values
from hosts.service.requests import Operation, Request
from hosts.wire import FragmentStatus, Header
from tests.hosts.conftest import eventually
from tests.hosts.service.test_checking import colliding_map, long_list, text

MOST = values.MAX_VALUE_BYTES - 10
BIG = values.encode(2**71)

VALUES = {
    "ints": lambda: long_list(MOST, b"\x01" * MOST),
    "big ints": lambda: long_list(MOST // len(BIG), BIG * (MOST // len(BIG))),
    "surrogates": lambda: text("\ud800" * (MOST // 3)),
    "lists": lambda: long_list(199_999, b"\x91\x01" * 199_999),
    "colliding keys": lambda: colliding_map(60_000),
    "bytes": lambda: values.encode(bytes(20 << 20)),
}
"""Encoded values that take long to look through, to decode or to copy."""


@pytest.fixture
def patient(make_cluster: Callable[..., Any]) -> Any:
    """Three members. Their election timeout leaves room for a busy machine: what is to be seen takes much longer."""
    made = make_cluster(extra="election_timeout_ms: 1000")
    made.start()
    made.leader()
    return made


def elections(cluster: Any) -> dict[int, tuple[int, int]]:
    """Of each member the term, and the times that it has asked whether it should campaign: it heard no leader."""
    seen = {}
    for member in cluster.members:
        status = eventually(lambda member=member: cluster.status(member), f"member {member} answers")
        asked = status["counters"]["sent"].get("PRE_VOTE", 0)
        seen[member] = status["groups"][0]["term"], asked
    return seen


def put(client: Client, key: bytes, value: bytes) -> None:
    """Encoded ones: the client library would take long, too, to make them."""
    client.wait(client.submit(Request(client._protocol.nonce, Operation.PUT, key=key, value=value)))


@pytest.mark.parametrize("name", VALUES)
def test_one_clients_value_holds_nobody_up(patient: Any, name: str) -> None:
    """Neither as a value nor as a key, nor where the nodes show what they hold."""
    value = VALUES[name]()
    with patient.client() as client:
        client.append("before")
        before = elections(patient)
        put(client, values.encode("k"), value)
        if len(value) <= values.MAX_VALUE_BYTES:
            put(client, value, values.encode("under a strange key"))
        client.append("after")
        for command in ("kv", "raw", "log"):
            assert patient.ask(patient.leader(), cmd=command)[-1]["ok"]
        assert elections(patient) == before
    assert patient.group_status(patient.leader())["keys"] >= 1


def test_reads_of_all_that_there_is_hold_nobody_up(patient: Any) -> None:
    """Hundreds at a time, each of as much as one gives, and none of the answers acknowledged."""
    with patient.client() as client:
        put(client, values.encode("k"), values.encode(bytes(30 << 20)))
        assert len(list(client.append_many((0 for _ in range(20_000)), 64))) == 20_000
        before = elections(patient)
        whole = Request(client._protocol.nonce, Operation.READ_LIST, start=0, limit=65_535)
        large = Request(client._protocol.nonce, Operation.GET, key=values.encode("k"))
        for request in [whole] * 300 + [large] * 10:
            client.submit(request)
        client.append("after")
        assert elections(patient) == before


def test_statuses_that_acknowledge_nothing_hold_nobody_up(patient: Any) -> None:
    """The first byte of a message is missing for ever, and all others are said to have come, again and again."""
    with patient.client() as client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
        put(client, values.encode("k"), values.encode(bytes(60 << 20)))
        before = elections(patient)
        leader = patient.address(patient.leader())
        asked = Header(
            16, group=1, index=500_000, log_term=client._protocol._session, commit=client._protocol._lowest
        )
        wanted = Request(client._protocol.nonce, Operation.GET, key=values.encode("k")).pack()
        answer = Header(18, group=1, index=500_000, log_term=client._protocol._session).pack()
        hostile.settimeout(0.2)
        told = 0

        def talk() -> bool:
            nonlocal told
            try:
                datagram = hostile.recv(2048)
            except TimeoutError:
                hostile.sendto(asked.pack() + wanted, leader)
                return False
            number, total = int.from_bytes(datagram[40:48], "big"), int.from_bytes(datagram[52:56], "big")
            status = FragmentStatus(number, total, total, ((0, 1),)).pack()
            for _ in range(100 if total > 1000 else 1):
                hostile.sendto(answer + status, leader)
                told += 1
            return told > 2000

        eventually(talk, "two thousand statuses")
        client.append("after")
        time.sleep(1.0)
        assert elections(patient) == before
