"""All nodes die at once, again and again, while clients write: what was acknowledged stays, and stays once."""

from __future__ import annotations

import threading
from itertools import count

from tests.lab.conftest import Lab, wait
from topo.lab.namespace import on_host
from topo.lab.running_lab import Live

ROUNDS = 20
VALUES_PER_ROUND = 110
HOSTS = ("h11", "h22", "h11", "h22")


class Writer:
    """A client that appends "NAME-1", "NAME-2", ... one after the other until stopped."""

    def __init__(self, live: Live, host: str, name: str) -> None:
        self.name = name
        self.acknowledged: list[str] = []
        self.in_doubt: list[str] = []
        self._live, self._host = live, host
        self.done = threading.Event()
        self.thread = threading.Thread(target=lambda: on_host(live.holder(host), self._write))
        self.thread.start()

    def _write(self) -> None:
        from hosts.client.blocking import Client, ClientError

        topology = self._live.topology
        group = topology.groups[0]
        address = str(topology.host(self._host).ip)
        numbers = count(1)
        while not self.done.is_set():
            with Client([(str(group.service), topology.port)], group.id, bind=address, timeout_s=60.0) as client:
                try:
                    while not self.done.is_set():
                        value = f"{self.name}-{next(numbers)}"
                        client.append(value)
                        self.acknowledged.append(value)
                except ClientError:
                    self.in_doubt.append(value)


def test_what_was_acknowledged_survives_the_death_of_all_nodes(lab: Lab) -> None:
    members = lab.live.topology.members
    before = lab.values("h1")
    writers = [Writer(lab.live, host, f"w{number}") for number, host in enumerate(HOSTS)]

    def acknowledged() -> int:
        return sum(len(writer.acknowledged) for writer in writers)

    try:
        for _ in range(ROUNDS):
            target = acknowledged() + VALUES_PER_ROUND
            wait("acknowledged values", lambda target=target: acknowledged() >= target)  # type: ignore[misc]
            lab.run("node", "kill", *members)
            lab.run("node", "start", *members)
    finally:
        for writer in writers:
            writer.done.set()
        for writer in writers:
            writer.thread.join()
    lab.leader()
    lab.run("send", "quiet now")
    values = lab.equal_values()
    assert acknowledged() >= 2_000
    own = values[len(before) :]
    assert values[: len(before)] == before
    for writer in writers:
        stored = [value for value in own if value.startswith(f"{writer.name}-")]
        assert len(set(stored)) == len(stored), "a value stands twice"
        assert [value for value in stored if value not in writer.in_doubt] == writer.acknowledged
        numbers = [int(value.partition("-")[2]) for value in stored]
        assert numbers == sorted(numbers), "values are out of their client's order"
        assert set(stored) <= {*writer.acknowledged, *writer.in_doubt}
    assert len(own) == 1 + sum(sum(value.startswith(f"{writer.name}-") for value in own) for writer in writers)
