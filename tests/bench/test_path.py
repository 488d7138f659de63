"""Paths between members: what they do to datagrams, and that members meet over them as they do without."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as File

import pytest

from bench.consensus import lossy
from bench.consensus.loopback import free_port
from bench.consensus.path import IPV4_AND_UDP, Path, Quality, newreno_bytes_per_s
from bench.consensus.proxy import Proxy, real_host

REPOSITORY = File(__file__).parents[2]


def fates(quality: Quality, seed: int = 1, count: int = 2000, size: int = 100) -> list[tuple[float, ...]]:
    path = Path(quality, seed)
    return [path.take(size, float(number)) for number in range(count)]


def test_one_seed_is_one_run_and_another_another() -> None:
    quality = Quality(loss=0.1, twice=0.1, overtaken=0.1, delay_s=0.02)
    assert fates(quality) == fates(quality) != fates(quality, seed=2)


def test_what_is_lost_does_not_change_by_what_comes_twice_or_late() -> None:
    lost = [not one for one in fates(Quality(loss=0.1))]
    assert 140 < sum(lost) < 260
    assert lost == [not one for one in fates(Quality(loss=0.1, twice=0.5, overtaken=0.5, delay_s=1.0))]


def test_a_perfect_path_changes_nothing() -> None:
    assert fates(Quality()) == [(float(number),) for number in range(2000)]


def test_delay_overtaking_and_copies() -> None:
    path = Path(Quality(twice=0.2, overtaken=0.3, delay_s=0.02, late_s=0.005), 3)
    found = [path.take(100, 0.0) for _ in range(1000)]
    assert {round(first, 6) for first, *_ in found} == {0.02, 0.025}
    assert path.counts["overtaken"] == sum(one[0] > 0.024 for one in found) > 200
    assert path.counts["twice"] == sum(len(one) == 2 for one in found) > 100
    assert path.counts["taken"] == 1000


def test_what_is_too_long_never_comes_also_where_that_changes_under_way() -> None:
    path = Path(Quality(largest=9000), 1)
    assert path.take(9000 - IPV4_AND_UDP, 0.0) and not path.take(9001 - IPV4_AND_UDP, 0.0)
    path.quality = Quality(largest=1500)
    assert path.take(1500 - IPV4_AND_UDP, 0.0) and not path.take(1501 - IPV4_AND_UDP, 0.0)
    assert path.counts == {"taken": 4, "too_long": 2}


def test_a_rate_spaces_datagrams_out_and_a_full_queue_drops_them() -> None:
    path = Path(Quality(bytes_per_s=1000, queue_bytes=500, delay_s=1.0), 1)
    size = 100 - IPV4_AND_UDP
    found = [path.take(size, 0.0) for _ in range(10)]
    assert [round(one[0], 6) for one in found if one] == [1.1, 1.2, 1.3, 1.4, 1.5, 1.6]
    assert path.counts["queue_full"] == 4
    assert path.take(size, 10.0) == (pytest.approx(11.1),)


def test_newrenos_formula() -> None:
    """Mathis et al.: with one loss in 600 datagrams and 100 ms, some 30 datagrams for each round trip."""
    assert newreno_bytes_per_s(1400, 0.1, 1 / 600) == pytest.approx(30 * 1400 / 0.1)


@contextmanager
def proxy(quality: Quality) -> Iterator[tuple[Proxy, dict[int, socket.socket], int]]:
    """One between two sockets in the places of members 1 and 2."""
    port = free_port(["127.0.0.1", "127.0.0.2", real_host(1), real_host(2)])
    made = Proxy({1: ("127.0.0.1", port), 2: ("127.0.0.2", port)}, quality, 1)
    members = {}
    made.start()
    try:
        for member in (1, 2):
            members[member] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            members[member].bind((real_host(member), port))
            members[member].settimeout(20)
        yield made, members, port
    finally:
        made.stop()
        for one in members.values():
            one.close()


def test_members_see_each_other_at_their_public_addresses() -> None:
    with proxy(Quality()) as (_, members, port):
        members[1].sendto(b"there", ("127.0.0.2", port))
        assert members[2].recvfrom(100) == (b"there", ("127.0.0.1", port))
        members[2].sendto(b"back", ("127.0.0.1", port))
        assert members[1].recvfrom(100) == (b"back", ("127.0.0.2", port))


def test_each_direction_has_a_size_of_its_own_that_may_change() -> None:
    with proxy(Quality()) as (made, members, port):
        made.change([(1, 2)], largest=1500)
        for size in (9000, 1473, 1472):
            members[1].sendto(bytes(size), ("127.0.0.2", port))
            members[2].sendto(bytes(size), ("127.0.0.1", port))
        assert len(members[2].recv(65536)) == 1472
        assert [len(members[1].recv(65536)) for _ in range(3)] == [9000, 1473, 1472]
        assert (made.paths[1, 2].counts["too_long"], made.paths[2, 1].counts["too_long"]) == (2, 0)
        made.change(largest=9028)
        members[1].sendto(bytes(9000), ("127.0.0.2", port))
        assert len(members[2].recv(65536)) == 9000


def test_a_client_passes_whatever_the_paths_are() -> None:
    with proxy(Quality(loss=1.0)) as (_, members, port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(b"ask", ("127.0.0.2", port))
        asked, address = members[2].recvfrom(100)
        members[2].sendto(b"told", address)
        assert (asked, *client.recvfrom(100)) == (b"ask", b"told", ("127.0.0.2", port))


def test_large_values_over_bad_paths_arrive_without_an_election() -> None:
    quality = Quality(loss=0.03, twice=0.03, overtaken=0.05, delay_s=0.005)
    figures = lossy.run(quality, values=3, size=200_000, outstanding=2)
    assert figures["all values are the same"] and figures["elections"] == 0, figures
    assert "lost" in figures["datagrams"] and "overtaken" in figures["datagrams"]


def test_the_command(tmp_path: File) -> None:
    words = "lossy --values 2 --size 50000 --loss 0 --twice 0 --overtaken 0 --delay-ms 1 --json"
    command = [sys.executable, "-m", "bench", *words.split(), "--folder", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "SWITCHRAFT_BUILD": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"]
