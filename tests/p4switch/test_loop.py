"""The packet loop over veth pairs: forwarding, tags, ports that go away or stall, edits and swaps under traffic."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p4switch.errors import BadValue
from p4switch.pipeline.loop import Loop
from p4switch.pipeline.pipeline import Exact, Pipeline, Replica
from p4switch.trace.events import Tracer, packets
from tests.p4switch.bmv2json import Programs, assign, call, drop, fld, hexstr, param, send_to

pytestmark = pytest.mark.root

CPU_PORT = 510
DEADLINE = 20.0
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def tc(*words: str) -> None:
    subprocess.run(["tc", *words], check=True, capture_output=True)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.01)


def operational(name: str) -> bool:
    return Path(f"/sys/class/net/{name}/operstate").read_text().strip() == "up"


class Wires:
    """veth pairs: the switch's end s0, s1, …; sockets on the other ends."""

    def __init__(self, count: int) -> None:
        self.stem = f"p4w{os.getpid() % 100000}"
        self.sockets: list[socket.socket] = []
        for i in range(count):
            self.add(i)

    def switch(self, i: int) -> str:
        return f"{self.stem}s{i}"

    def host(self, i: int) -> str:
        return f"{self.stem}h{i}"

    def add(self, i: int) -> None:
        ip("link", "add", self.switch(i), "type", "veth", "peer", "name", self.host(i))
        for name in (self.switch(i), self.host(i)):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            ip("link", "set", name, "up")
        # Until the kernel has seen the carrier it drops what is sent.
        wait_for(lambda: all(operational(name) for name in (self.switch(i), self.host(i))))
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        sock.bind((self.host(i), 3))
        sock.settimeout(DEADLINE)
        self.sockets[i : i + 1] = [sock]

    def set_mtu(self, mtu: int) -> None:
        """Of all ends."""
        for i in range(len(self.sockets)):
            for name in (self.switch(i), self.host(i)):
                ip("link", "set", name, "mtu", str(mtu))

    def remove(self, i: int) -> None:
        self.sockets[i].close()
        ip("link", "del", self.switch(i))

    def ports(self) -> dict[int, str]:
        return {i: self.switch(i) for i in range(len(self.sockets))}

    def close(self) -> None:
        for i, sock in enumerate(self.sockets):
            sock.close()
            subprocess.run(["ip", "link", "del", self.switch(i)], capture_output=True)


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires(3)
    yield made
    made.close()


def forwarder() -> Programs:
    """Forwards by destination address to a port, and writes a stamp; a miss goes to the CPU port; also a digest."""
    p = Programs(parse=["eth"])
    p.header("eth", {"dst": 48, "src": 48, "type": 16, "stamp": 16})
    p.digests.append({"name": "seen_t", "id": 1, "elements": [fld("eth", "src")]})
    p.action("to", send_to(param(0)), assign(("eth", "stamp"), param(1)), params={"port": 9, "stamp": 16})
    p.action("learn", call("generate_digest", hexstr(1), hexstr(1)), send_to(CPU_PORT))
    p.action("spread", assign(("standard_metadata", "mcast_grp"), 1))
    p.action("none", drop())
    p.table("l2", [("exact", "eth", "dst")], ["to", "learn", "spread", "none"], default="learn")
    return p


def frame(dst: int, number: int = 0, size: int = 60) -> bytes:
    head = dst.to_bytes(6, "big") + bytes([2, 0, 0, 0, 0, 1]) + b"\x88\xb5\0\0" + number.to_bytes(4, "big")
    return head.ljust(size, b"\xaa")


def number_of(data: bytes) -> int:
    return int.from_bytes(data[16:20], "big")


def queue_teller() -> Programs:
    """Everything goes to port 1, stamped with what waits there."""
    p = Programs(parse=["eth"])
    p.header("eth", {"dst": 48, "src": 48, "type": 16, "stamp": 16})
    p.run(send_to(1))
    p.run(assign(("eth", "stamp"), fld("standard_metadata", "enq_qdepth")), control="egress")
    return p


@pytest.fixture
def pipeline(build_cache: Path) -> Iterator[Pipeline]:
    with Pipeline.load(forwarder().json(), cache=build_cache) as loaded:
        for port in range(3):
            loaded.insert("l2", [Exact(port + 1)], "to", [port, 0x100 + port])
        yield loaded


@pytest.fixture
def loop(pipeline: Pipeline, wires: Wires, build_cache: Path) -> Iterator[Loop]:
    with Loop(pipeline, wires.ports(), CPU_PORT, seed=1, cache=build_cache) as running:
        yield running


def send_until(wires: Wires, source: int, target: int, data: bytes) -> bytes:
    """Send again and again until something comes; for ports that are coming back."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        wires.sockets[source].send(data)
        if select.select([wires.sockets[target]], [], [], 0.1)[0]:
            return wires.sockets[target].recv(65536)
    raise AssertionError("nothing came through")


def quiet(sock: socket.socket, seconds: float = 0.3) -> bool:
    return not select.select([sock], [], [], seconds)[0]


def test_frames_are_forwarded_and_counted(loop: Loop, wires: Wires) -> None:
    for size in (60, 1514):
        wires.sockets[0].send(frame(2, 7, size))
        got = wires.sockets[1].recv(65536)
        assert got[:14] + got[16:] == frame(2, 7, size)[:14] + frame(2, 7, size)[16:]
        assert got[14:16] == b"\x01\x01"
    wait_for(lambda: loop.port_numbers()[1].tx_packets == 2)
    numbers = loop.port_numbers()
    assert (numbers[0].rx_packets, numbers[0].rx_bytes, numbers[1].tx_bytes) == (2, 1574, 1574)
    assert quiet(wires.sockets[2])


@pytest.mark.usefixtures("pipeline")
def test_vlan_tags_come_through(loop: Loop, wires: Wires) -> None:
    plain = frame(2)
    tagged = plain[:12] + b"\x81\0\x61\x23" + plain[12:]
    wires.sockets[0].send(tagged)
    got = wires.sockets[1].recv(65536)
    # The kernel takes the tag off for this test's socket too; it leaves the frame without it, 4 bytes shorter.
    auxiliary = len(tagged) - len(got)
    assert auxiliary in (0, 4)
    wait_for(lambda: loop.port_numbers()[1].tx_bytes == len(tagged))


def test_frames_of_every_size_come_in_their_order(loop: Loop, wires: Wires) -> None:
    """More of them than the ring has places for, and some too long for a place."""
    wires.set_mtu(9000)
    send_every_size(loop, wires, [60, 1514, *range(1656, 1668), 2000, 9014, 60])


def test_frames_of_every_size_where_the_ports_begin_with_large_ones(
    pipeline: Pipeline, wires: Wires, build_cache: Path
) -> None:
    """The ring's places are larger then; one that is still longer takes the other way."""
    wires.set_mtu(9000)
    with Loop(pipeline, wires.ports(), CPU_PORT, seed=1, cache=build_cache) as loop:
        send_every_size(loop, wires, [60, 1514, 1656, 8914, 9014, 60])
        wires.set_mtu(9500)
        # Room for 9,278 bytes to come in, 9,296 to leave.
        sizes = [60, *range(9272, 9300, 2), 9514, 60]
        loop_sees(loop, wires, 9514)
        send_every_size(loop, wires, sizes)


@pytest.mark.parametrize("mtu", [1500, 1578, 1579, 1648, 1649, 9216, 9217, 65535])
def test_an_interface_of_any_mtu_carries_its_longest_frame(
    pipeline: Pipeline, wires: Wires, build_cache: Path, mtu: int
) -> None:
    wires.set_mtu(mtu)
    longest = min(mtu + 14, 65535)
    with Loop(pipeline, wires.ports(), CPU_PORT, seed=1, cache=build_cache) as loop:
        for number, size in enumerate((longest, 60, longest - 1, longest)):
            wires.sockets[0].send(frame(2, number, size))
            got = wires.sockets[1].recv(1 << 17)
            assert (number_of(got), len(got)) == (number, size)
        wait_for(lambda: loop.port_numbers()[1].tx_packets == 4)
        assert loop.port_numbers()[0].rx_drops == loop.port_numbers()[1].tx_drops == 0


def loop_sees(loop: Loop, wires: Wires, size: int) -> None:
    """Waits until a frame of that size goes out of port 1."""
    before = loop.port_numbers()[1].tx_packets
    while loop.port_numbers()[1].tx_packets == before:
        send_until(wires, 0, 1, frame(2, 0, size))
    while not quiet(wires.sockets[1]):
        wires.sockets[1].recv(65536)


def send_every_size(loop: Loop, wires: Wires, sizes: list[int]) -> None:
    before = loop.port_numbers()
    for number in range(3000):
        size = sizes[number % len(sizes)]
        data = frame(2, number, size)
        tagged = number % 3 == 0 and size > 60
        wires.sockets[0].send(data[:12] + b"\x81\0\0\x07" + data[12:-4] if tagged else data)
        got = wires.sockets[1].recv(65536)
        if tagged:  # the kernel has taken the tag off for this test's socket, too
            assert got == data[:-4]
        else:
            assert got[:14] + got[16:] == data[:14] + data[16:]
    wait_for(lambda: loop.port_numbers()[1].tx_packets == before[1].tx_packets + 3000)
    assert loop.port_numbers()[0].rx_drops == before[0].rx_drops


def test_frames_that_find_no_room_are_counted(pipeline: Pipeline, wires: Wires, build_cache: Path) -> None:
    """Before the switch runs its ring runs full; then it goes on."""
    waiting = Loop(pipeline, wires.ports(), CPU_PORT, seed=1, cache=build_cache)
    for _ in range(5000):
        wires.sockets[0].send(frame(2))
    with waiting as loop:
        wait_for(lambda: loop.port_numbers()[0].rx_packets + loop.port_numbers()[0].rx_drops == 5000)
        assert loop.port_numbers()[0].rx_packets >= 1024 and loop.port_numbers()[0].rx_drops > 0
        assert number_of(send_until(wires, 0, 2, frame(3, 4))) == 4


def test_packet_in_digest_and_inject(loop: Loop, wires: Wires) -> None:
    wires.sockets[0].send(frame(99, 5))
    assert select.select([loop.events_fd], [], [], DEADLINE)[0]
    output = loop.drain()
    assert [(p, number_of(f)) for p, f in output.packets] == [(CPU_PORT, 5)]
    assert output.digests == (("seen_t", (0x020000000001,)),)
    assert not select.select([loop.events_fd], [], [], 0)[0]
    assert loop.inject(CPU_PORT, frame(3, 8))
    assert number_of(wires.sockets[2].recv(65536)) == 8


@pytest.mark.usefixtures("loop")
def test_multicast(pipeline: Pipeline, wires: Wires) -> None:
    pipeline.set_multicast_group(1, [Replica(1, 0), Replica(2, 0)])
    pipeline.insert("l2", [Exact(0xFFFFFFFFFFFF)], "spread")
    wires.sockets[0].send(frame(0xFFFFFFFFFFFF, 3))
    assert [number_of(wires.sockets[i].recv(65536)) for i in (1, 2)] == [3, 3]


@pytest.mark.usefixtures("loop")
def test_an_interface_goes_down_and_up(wires: Wires) -> None:
    send_until(wires, 0, 1, frame(2))
    ip("link", "set", wires.switch(1), "down")
    wires.sockets[0].send(frame(2))
    assert number_of(send_until(wires, 0, 2, frame(3, 4))) == 4
    ip("link", "set", wires.switch(1), "up")
    assert number_of(send_until(wires, 0, 1, frame(2, 6))) in (0, 6)
    assert number_of(send_until(wires, 1, 0, frame(1, 7))) == 7


@pytest.mark.usefixtures("loop")
def test_an_interface_goes_away_and_comes_back(wires: Wires) -> None:
    wires.remove(1)
    wires.sockets[0].send(frame(2))
    assert number_of(send_until(wires, 0, 2, frame(3, 4))) == 4
    wires.add(1)
    assert number_of(send_until(wires, 0, 1, frame(2, 6))) == 6
    assert number_of(send_until(wires, 1, 0, frame(1, 7))) == 7


@pytest.mark.usefixtures("loop")
def test_a_blackhole_on_a_port_cuts_it(wires: Wires) -> None:
    tc("qdisc", "replace", "dev", wires.switch(1), "root", "blackhole")
    wires.sockets[0].send(frame(2, 1))
    wires.sockets[0].send(frame(3, 2))
    assert number_of(wires.sockets[2].recv(65536)) == 2
    assert quiet(wires.sockets[1])
    tc("qdisc", "del", "dev", wires.switch(1), "root")
    assert number_of(send_until(wires, 0, 1, frame(2, 3))) == 3


def test_frames_wait_in_a_queue_in_their_order(loop: Loop, wires: Wires) -> None:
    """More than the ring for what leaves has places for: the queueing discipline still holds those."""
    queue = ("tbf", "rate", "40mbit", "burst", "3000", "limit", "10000000")
    tc("qdisc", "replace", "dev", wires.switch(1), "root", *queue)
    for number in range(1500):
        wires.sockets[0].send(frame(2, number, (100, 1000)[number % 2]))
    assert [number_of(wires.sockets[1].recv(65536)) for _ in range(1500)] == list(range(1500))
    numbers = loop.port_numbers()[1]
    assert (numbers.tx_packets, numbers.tx_bytes, numbers.tx_drops) == (1500, 750 * 1100, 0)


def test_frames_that_nobody_has_read_yet_stay_as_they_are(loop: Loop, wires: Wires) -> None:
    """Of more than the ring for what leaves has places for: none may still lie there."""
    for number in range(1500):
        wires.sockets[0].send(frame(2, number, 200))
    wait_for(lambda: loop.port_numbers()[1].tx_packets == 1500)
    assert [number_of(wires.sockets[1].recv(65536)) for _ in range(1500)] == list(range(1500))


def test_what_a_queue_does_not_take_is_counted_and_costs_no_other_frame(loop: Loop, wires: Wires) -> None:
    """The queue has room for 20 long frames; every short one that comes when there is room still goes out."""
    queue = ("tbf", "rate", "400kbit", "burst", "2000", "limit", "20000")
    tc("qdisc", "replace", "dev", wires.switch(1), "root", *queue)
    for number in range(200):
        wires.sockets[0].send(frame(2, number, 1000))
    wires.sockets[0].send(frame(3, 200))
    assert number_of(wires.sockets[2].recv(65536)) == 200
    wait_for(lambda: loop.port_numbers()[1].tx_packets + loop.port_numbers()[1].tx_drops == 200)
    taken = loop.port_numbers()[1].tx_packets
    assert 20 <= taken < 200
    assert loop.port_numbers()[1].tx_too_long == 0, "for another reason"
    got = [number_of(wires.sockets[1].recv(65536)) for _ in range(taken)]
    assert got == sorted(set(got)) and got[:15] == list(range(15))
    assert quiet(wires.sockets[1])
    assert number_of(send_until(wires, 0, 1, frame(2, 201))) == 201


def test_a_frame_that_does_not_fit_the_interface_costs_no_other(loop: Loop, wires: Wires) -> None:
    """Sent at once, so that they leave together; the MTU is looked at now and then, so that it may change."""
    ip("link", "set", wires.switch(1), "mtu", "1000")
    dropped = 0

    def noticed() -> bool:
        nonlocal dropped
        wires.sockets[0].send(frame(2, 1, 1400))
        dropped = loop.port_numbers()[1].tx_drops
        return dropped > 0

    wait_for(noticed)
    while select.select([wires.sockets[1]], [], [], 0.3)[0]:
        wires.sockets[1].recv(65536)
    before = loop.port_numbers()[1]
    for number in range(300):
        wires.sockets[0].send(frame(2, number, (60, 1400, 1014)[number % 3]))
    got = [number_of(wires.sockets[1].recv(65536)) for _ in range(200)]
    assert got == [number for number in range(300) if number % 3 != 1]
    wait_for(lambda: loop.port_numbers()[1].tx_drops == before.tx_drops + 100)
    after = loop.port_numbers()[1]
    assert after.tx_packets == before.tx_packets + 200
    assert after.tx_too_long == before.tx_too_long + 100, "and the reason is told"


def test_a_stalled_port_does_not_stall_the_others(loop: Loop, wires: Wires) -> None:
    tc(
        "qdisc",
        "replace",
        "dev",
        wires.switch(1),
        "root",
        "tbf",
        "rate",
        "8kbit",
        "burst",
        "2000",
        "limit",
        "100000000",
    )
    sent = 0
    end = time.monotonic() + 3 * DEADLINE
    while loop.port_numbers()[1].tx_drops == 0:
        assert time.monotonic() < end, "the port never stalled"
        for _ in range(200):
            wires.sockets[0].send(frame(2, sent, 1000))
        sent += 1
        assert number_of(send_until(wires, 0, 2, frame(3, sent))) <= sent


def blast(wires: Wires, count: int, data: Callable[[int], bytes]) -> threading.Thread:
    """Send numbered frames, with pauses that keep the sockets from overflowing."""

    def run() -> None:
        for i in range(count):
            wires.sockets[0].send(data(i))
            if i % 32 == 31:
                time.sleep(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def receive(wires: Wires, loop: Loop, thread: threading.Thread) -> list[tuple[int, bytes]]:
    """All that comes out of ports 1 and 2 until the sender is done, and the loop with what came in.

    The kernel itself loses frames where a machine is busy enough; what the loop took in must leave it.
    """
    got: list[tuple[int, bytes]] = []
    while thread.is_alive() or select.select(wires.sockets[1:], [], [], 0.3)[0]:
        for ready in select.select(wires.sockets[1:], [], [], 0.2)[0]:
            got.append((wires.sockets.index(ready), ready.recv(65536)))

    def all_left() -> bool:
        numbers = loop.port_numbers()
        return numbers[0].rx_packets == sum(numbers[i].tx_packets for i in (1, 2))

    wait_for(all_left)
    numbers = loop.port_numbers()
    assert sum(n.rx_drops + n.tx_drops for n in numbers.values()) == 0
    assert len(got) == len({number_of(data) for _, data in got}) > 100
    return got


def test_a_packet_meets_the_old_or_the_new_entry_and_none_is_lost(
    loop: Loop, pipeline: Pipeline, wires: Wires
) -> None:
    """Each version of the entry ties a port to a stamp; other entries come and go around it."""
    handle = pipeline.insert("l2", [Exact(50)], "to", [1, 0xAAAA])
    thread = blast(wires, 4000, lambda i: frame(50, i))
    edits = 0

    def edit() -> None:
        nonlocal edits
        while thread.is_alive():
            pipeline.modify("l2", handle, "to", [2, 0xBBBB])
            other = pipeline.insert("l2", [Exact(1000 + edits)], "to", [0, 1])
            pipeline.modify("l2", handle, "to", [1, 0xAAAA])
            pipeline.delete("l2", other)
            edits += 1

    editor = threading.Thread(target=edit)
    editor.start()
    got = receive(wires, loop, thread)
    editor.join()
    assert edits > 10
    assert {(port, data[14:16]) for port, data in got} <= {(1, b"\xaa\xaa"), (2, b"\xbb\xbb")}


def test_programs_are_swapped_without_losing_a_packet(
    loop: Loop, pipeline: Pipeline, wires: Wires, build_cache: Path
) -> None:
    with Pipeline.load(forwarder().json(), cache=build_cache) as other:
        other.insert("l2", [Exact(2)], "to", [2, 0xBBBB])
        thread = blast(wires, 4000, lambda i: frame(2, i))
        swaps = 0

        def swap() -> None:
            nonlocal swaps
            while thread.is_alive():
                loop.replace((other, pipeline)[swaps % 2])
                swaps += 1
                time.sleep(0.002)

        swapper = threading.Thread(target=swap)
        swapper.start()
        got = receive(wires, loop, thread)
        swapper.join()
        loop.replace(pipeline)
    assert swaps > 10
    assert {(port, data[14:16]) for port, data in got} == {(1, b"\x01\x01"), (2, b"\xbb\xbb")}


def test_captures(pipeline: Pipeline, wires: Wires, build_cache: Path, tmp_path: Path) -> None:
    with Loop(pipeline, wires.ports(), None, tmp_path / "pcaps", cache=build_cache):
        wires.sockets[0].send(frame(2, 7))
        wires.sockets[1].recv(65536)
    written = {p.name: p.read_bytes() for p in (tmp_path / "pcaps").iterdir()}
    assert written[f"{wires.switch(0)}_in.pcap"][40:] == frame(2, 7)
    assert written[f"{wires.switch(1)}_out.pcap"][24 + 16 + 16 :] == frame(2, 7)[16:]
    assert len(written[f"{wires.switch(2)}_in.pcap"]) == 24


def test_a_missing_interface_is_named(pipeline: Pipeline, build_cache: Path) -> None:
    with pytest.raises(OSError, match=r"port 4.*nothere"):
        Loop(pipeline, {4: "nothere"}, None, cache=build_cache)


def test_a_program_sees_what_waits_for_a_slow_interface(wires: Wires, build_cache: Path) -> None:
    """By the interface's queueing discipline; where nothing waits it sees 0."""

    def depths(count: int) -> list[int]:
        for _ in range(count):
            wires.sockets[0].send(frame(2, size=1000))
        return [int.from_bytes(wires.sockets[1].recv(65536)[14:16], "big") for _ in range(count)]

    with (
        Pipeline.load(queue_teller().json(), cache=build_cache) as pipeline,
        Loop(pipeline, wires.ports(), CPU_PORT, seed=1, cache=build_cache),
    ):
        assert depths(1) == [0]
        tc(
            "qdisc",
            "add",
            "dev",
            wires.switch(1),
            "root",
            "tbf",
            "rate",
            "2mbit",
            "burst",
            "3000",
            "limit",
            "1000000",
        )
        seen = depths(100)
        assert max(seen) > 40, "the later ones find many before them"
        assert max(seen) <= 100
        assert max(seen[:5]) < max(seen[-5:])


def test_a_program_sees_a_queue_that_is_set_by_hand(build_cache: Path) -> None:
    with Pipeline.load(queue_teller().json(), cache=build_cache) as pipeline:
        for expected in (77, 0):
            pipeline.set_queue_depth(1, expected)
            ((_, out),) = pipeline.step(0, frame(2), 0).packets
            assert int.from_bytes(out[14:16], "big") == expected
        with pytest.raises(BadValue, match="no port 512"):
            pipeline.set_queue_depth(512, 1)


@pytest.mark.parametrize("size", [400, 1100])
def test_a_trace_for_which_there_is_no_room_is_told_whole_or_not_at_all(
    loop: Loop, pipeline: Pipeline, build_cache: Path, size: int
) -> None:
    """Events tell what has changed since the one before: none may be missing inside a packet's."""
    tracer = Tracer(pipeline, forwarder().json(), build_cache)
    tracer.choose(most=0)
    loop.trace(tracer.library)
    sent, first = 8000, 0

    def gone() -> bool:
        numbers = loop.port_numbers()[1]
        return numbers.tx_packets + numbers.tx_drops == first

    while first < sent:
        assert all(loop.inject(0, frame(2, number, size)) for number in range(first, first + 1000))
        first += 1000
        wait_for(gone)
    told = list(packets(list(tracer.events(loop.drain_traces()))))
    assert 1000 < len(told) < sent
    for number, events in enumerate(told):
        assert [event.kind for event in events] == [event.kind for event in told[0]]
        assert number_of(events[0].frame) == number
        assert events[-3].fields["eth.stamp"] == 0x101
