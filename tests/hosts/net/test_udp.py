"""The socket: many datagrams with a call, or one by one, and nobody can tell which."""

from __future__ import annotations

import errno
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hosts.config import Address
from hosts.net import udp
from hosts.net.path import BASE
from hosts.net.udp import Refusal, UdpSocket, _end_of_train, _says_port_unreachable

PLACE = ("127.0.0.1", 0)


@pytest.fixture(params=[True, False], ids=["many at once", "one by one"])
def pair(request: Any) -> Iterator[tuple[UdpSocket, UdpSocket]]:
    one, two = UdpSocket(PLACE, 65_507, many=request.param), UdpSocket(PLACE, 65_507, many=request.param)
    yield one, two
    one.close()
    two.close()


def taken(target: UdpSocket, count: int) -> list[tuple[bytes, Any]]:
    """So many datagrams; loopback delivers them before ``send`` returns."""
    found: list[tuple[bytes, Any]] = []
    while len(found) < count:
        batch = [(bytes(datagram), address) for datagram, address in target.receive()]
        assert batch, f"{len(found)} of {count} datagrams have come"
        found += batch
    assert not target.receive()
    return found


def test_what_is_sent_comes_in_its_order_with_its_source(pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, two = pair
    chance = random.Random(1)
    sizes = [*[1400] * 150, 700, *[1400] * 3, 1472, 1472, 9, 0, 1, 65_507, 65_507, 60_000, 1400, 1400, 1399]
    datagrams = [chance.randbytes(size) for size in sizes]
    assert one.send_all(datagrams, two.getsockname()) == len(datagrams)
    assert taken(two, len(datagrams)) == [(datagram, one.getsockname()) for datagram in datagrams]


def test_one_alone(pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, two = pair
    one.send(b"x" * 1400, two.getsockname())
    one.send(b"y" * 9000, two.getsockname())
    one.send(b"", two.getsockname())
    assert [datagram for datagram, _ in taken(two, 3)] == [b"x" * 1400, b"y" * 9000, b""]


def test_what_cannot_leave_is_counted_and_the_rest_leaves(pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, two = pair
    assert one.send_all([b"a" * 70_000, b"b" * 10, b"c" * 10], two.getsockname()) == 2
    assert [datagram for datagram, _ in taken(two, 2)] == [b"b" * 10, b"c" * 10]
    assert one.send_all([b"a", b"b"], ("127.0.0.1", 0)) == 0


def test_what_is_longer_than_expected_does_not_come_whole() -> None:
    for many in (True, False):
        short, other = UdpSocket(PLACE, BASE, many=many), UdpSocket(PLACE, 65_507, many=many)
        other.send_all([b"l" * 30_000, b"s" * 1400], short.getsockname())
        found = [bytes(datagram) for datagram, _ in short.receive()]
        assert found[-1] == b"s" * 1400 and all(len(datagram) < 3000 for datagram in found)
        short.close()
        other.close()


class Refusing:
    """A kernel that does not cut."""

    def __init__(self, inner: socket.socket, number: int) -> None:
        self._inner = inner
        self._number = number
        self.asked = 0

    def sendmsg(self, *_: object) -> int:
        self.asked += 1
        raise OSError(self._number, "refused")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize(("number", "asked"), [(errno.EIO, 1), (errno.EOPNOTSUPP, 1), (errno.EINVAL, 2)])
def test_a_kernel_that_does_not_cut_is_not_asked_again(number: int, asked: int) -> None:
    one, two = UdpSocket(PLACE), UdpSocket(PLACE)
    refusing = Refusing(one._socket, number)
    one._socket = refusing  # type: ignore[assignment]
    for _ in range(2):
        assert one.send_all([b"a" * 100] * 3, two.getsockname()) == 3
    assert [datagram for datagram, _ in taken(two, 6)] == [b"a" * 100] * 6
    assert refusing.asked == asked
    one.close()
    two.close()


def test_only_what_is_larger_than_every_path_takes_must_not_be_fragmented() -> None:
    one, two = UdpSocket(PLACE, 65_507), UdpSocket(PLACE, 65_507)

    def discovers() -> int:
        return one._socket.getsockopt(socket.IPPROTO_IP, udp._IP_MTU_DISCOVER)

    one.send(bytes(BASE + 1), two.getsockname())
    assert discovers() == udp._PMTUDISC_PROBE
    one.send(bytes(BASE), two.getsockname())
    assert discovers() == udp._PMTUDISC_WANT
    one.send_all([bytes(BASE + 1)] * 2, two.getsockname())
    assert discovers() == udp._PMTUDISC_PROBE
    one.close()
    two.close()


def test_what_an_interface_takes() -> None:
    assert udp.interface_mtu(("127.0.0.1", 9)) >= 16_384
    assert udp.interface_mtu(("no address", 9)) == 1500 and udp.interface_mtu(("127.0.0.1", 1 << 20)) == 1500


def test_trains_are_of_one_size_but_for_the_last() -> None:
    sizes = [10, 10, 4, 10, 12, *[1400] * 100, *[30_000] * 3, 0]
    datagrams = [bytes(size) for size in sizes]
    at, trains = 0, []
    while at < len(datagrams):
        end = _end_of_train(datagrams, at)
        trains.append([len(datagram) for datagram in datagrams[at:end]])
        at = end
    assert trains == [
        [10, 10, 4],
        [10],
        [12],
        [1400] * 46,
        [1400] * 46,
        [1400] * 8,
        [30_000, 30_000],
        [30_000, 0],
    ]


def test_addresses_are_remembered_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "MAX_KNOWN_ADDRESSES", 3)
    target = UdpSocket(PLACE)
    for number in range(10):
        source = UdpSocket(PLACE)
        source.send(bytes((number,)), target.getsockname())
        assert taken(target, 1) == [(bytes((number,)), source.getsockname())]
        source.close()
    assert target._many is not None and len(target._many._addresses) <= 3
    target.close()


@pytest.fixture(params=[True, False], ids=["many at once", "one by one"])
def hearing(request: Any) -> Iterator[UdpSocket]:
    """One that hears what other hosts' kernels answer."""
    one = UdpSocket(PLACE, 65_507, many=request.param, wants_refusals=True)
    yield one
    one.close()


def closed_port() -> Address:
    """A port that somebody has just left."""
    left = UdpSocket(PLACE)
    place = left.getsockname()
    left.close()
    return place


def refusals(of: UdpSocket, count: int) -> list[Refusal]:
    """So many. The kernel answers on loopback before ``send`` returns, but not more than a few times a second."""
    found: list[Refusal] = []
    end = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} answers have come"
        found += of.take_refusals()
    return found


def test_that_nobody_listens_is_heard_with_the_destination(hearing: UdpSocket) -> None:
    place = closed_port()
    hearing.send(bytes(range(200)), place)
    assert refusals(hearing, 1) == [Refusal(place, True, bytes(range(64)))]
    assert not hearing.take_refusals() and not hearing.receive()


def test_a_refusal_costs_no_other_datagram(hearing: UdpSocket) -> None:
    """The kernel reports it once, at the next call, whatever that is about."""
    other = UdpSocket(PLACE, 65_507)
    try:
        hearing.send(b"x", closed_port())
        hearing.send(b"one", other.getsockname())
        hearing.send(b"x", closed_port())
        assert hearing.send_all([b"two", b"six", b"ten"], other.getsockname()) == 3
        other.send(b"back", hearing.getsockname())
        hearing.send(b"x", closed_port())
        assert [bytes(datagram) for datagram, _ in hearing.receive()] == [b"back"]
        assert [datagram for datagram, _ in taken(other, 4)] == [b"one", b"two", b"six", b"ten"]
    finally:
        other.close()


def test_poll_tells_of_a_refusal_until_it_is_taken(hearing: UdpSocket) -> None:
    poll = select.epoll()
    try:
        poll.register(hearing.fileno(), select.EPOLLIN)
        hearing.send(b"x", closed_port())
        ((_, events),) = poll.poll(60)
        assert events & select.EPOLLERR
        hearing.receive()
        refusals(hearing, 1)
        assert not poll.poll(0)
    finally:
        poll.close()


def test_who_does_not_ask_hears_of_no_refusal(pair: tuple[UdpSocket, UdpSocket]) -> None:
    one, two = pair
    one.send(b"x", closed_port())
    one.send(b"y", two.getsockname())
    assert [datagram for datagram, _ in taken(two, 1)] == [b"y"]
    assert not one.take_refusals()


@pytest.mark.parametrize(
    ("origin", "kind", "code", "offender", "nobody"),
    [
        (2, 3, 3, "10.0.0.2", True),
        (2, 3, 3, "10.0.0.254", False),  # a firewall's REJECT
        (2, 3, 1, "10.0.0.2", False),  # host unreachable
        (2, 11, 0, "10.0.0.2", False),  # its time to live was over
        (1, 3, 3, "10.0.0.2", False),  # from the own host
    ],
)
def test_only_the_destinations_own_port_unreachable_counts(
    origin: int, kind: int, code: int, offender: str, nobody: bool
) -> None:
    error = struct.pack("=IBBBBII", errno.ECONNREFUSED, origin, kind, code, 0, 0, 0)
    address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(offender))
    assert _says_port_unreachable(error + address, "10.0.0.2") is nobody
    assert not _says_port_unreachable(error, "10.0.0.2"), "without an offender nobody has said it"
