"""The part of ``tests.hosts.fuzz`` that real node processes take: two of a cluster of three.

The third is a node in this process. What its socket sends and gets is recorded and mutated; the mutants leave by that
very socket, so that they come from a member's own address.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

from bench.consensus.loopback import Loopback
from hosts import config
from hosts.client.blocking import Client, ClientError
from hosts.config import Address
from hosts.net.udp import Datagram, Socket
from hosts.node import Node
from tests import forked
from tests.forked import Forked
from tests.hosts.fuzz import ADDRESSES, MEMBERS, Mesh, Recorded, mutate


class ForkedLoopback(Loopback):
    """With no start of Python for each member."""

    def launch(self, command: Sequence[str], output: int) -> Forked:
        return forked.start_command(command, output)


PER_BURST = 250


class Recording:
    """A UDP socket that keeps what passes through it."""

    def __init__(self, inner: Socket, mesh: Mesh, own: int) -> None:
        self._inner = inner
        self._mesh = mesh
        self._own = own

    def receive(self) -> Sequence[tuple[Datagram, Address]]:
        batch = self._inner.receive()
        for datagram, address in batch:
            self._keep(bytes(datagram), address, self._own)
        return batch

    def send(self, datagram: bytes, address: Address) -> None:
        self._keep_sent(datagram, address)
        self._inner.send(datagram, address)

    def send_all(self, datagrams: Sequence[bytes], address: Address) -> int:
        for datagram in datagrams:
            self._keep_sent(datagram, address)
        return self._inner.send_all(datagrams, address)

    def _keep_sent(self, datagram: bytes, address: Address) -> None:
        number = int(address[0].rpartition(".")[2])
        if number in MEMBERS:
            self._keep(datagram, ADDRESSES[self._own], number)

    def _keep(self, datagram: bytes, address: Any, target: int) -> None:
        source = ADDRESSES.get(int(address[0].rpartition(".")[2]), address)
        self._mesh.recorded[target].append(cast(Recorded, (datagram, source, target)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _use(client: Client, chance: random.Random, *, must_work: bool) -> None:
    for _ in range(5):
        value = chance.randbytes(chance.choice((10, 4000)))
        try:
            client.wait(client.submit_append(value, None if must_work else 0.2))
        except ClientError:
            if must_work:
                raise
            return  # without a key, forged messages may well stop a cluster


def run(count: int, seed: int, *, with_key: bool) -> str:
    """Throw ``count`` datagrams at two node processes; what came of it, in a line. AssertionError, or Stuck, if they
    do not live on; with the key also if a term or a leader changed."""
    chance = random.Random(f"{seed}/{with_key}/processes")
    mesh = Mesh(chance, key=None)
    mesh.tick(1)
    patient = "election_timeout_ms: 2000"  # a busy machine alone shall bring no election
    with ForkedLoopback(f"{patient}\nkey_file: cluster.key" if with_key else patient) as cluster:
        (cluster.folder / "cluster.key").write_text("0123456789abcdef0123456789abcdef\n")
        cluster.start(1, 2)
        node = Node(config.load(cluster.config), 3)
        node.notes = lambda text: None
        inner = node._transport.socket
        node._transport.socket = cast(Socket, Recording(inner, mesh, 3))
        thread = threading.Thread(target=node.run)
        thread.start()
        try:
            leader = cluster.wait(lambda: (cluster.group_status(1) or {}).get("leader"), "a leader")
            with cluster.client(timeout_s=60) as client:
                sent = 0
                term = client.put("k", 0).term
                while sent < count:
                    _use(client, chance, must_work=with_key)
                    for _ in range(PER_BURST):
                        target = chance.choice((1, 2))
                        if not mesh.recorded[target]:
                            continue
                        datagram, _ = mutate(mesh, chance, mesh.members[target])
                        inner.send_all([datagram], cluster.addresses[target - 1])  # some are too long to leave
                        sent += 1
                    time.sleep(0.01)
                    if not with_key:
                        continue
                    for member in (1, 2):
                        status = cluster.wait(
                            lambda member=member: cluster.group_status(member), f"member {member} answers"
                        )
                        assert status["term"] == term and status["leader"] == leader, f"seed {seed}: {status}"
                if with_key:
                    assert client.put("k", 1).term == term
            for member in (1, 2):
                assert cluster.wait(lambda member=member: cluster.group_status(member), f"member {member} lives")
                assert "Traceback" not in cluster.output(member), cluster.output(member)
        finally:
            node.stop()
            thread.join()
            node._transport.socket = inner
            node.close()
        name = "with the key, in one term throughout" if with_key else "without a key"
        return f"two node processes took {sent:,} more {name}"
