"""How large datagrams may be, found out without believing anybody who has not received one."""

from __future__ import annotations

import pytest

from hosts.net.path import AGAIN_S, BASE, PROBE_S, SIZES, TRIES, PathSize, largest_datagram


def search(path: PathSize, takes: int, now: float, seconds: float = 10.0) -> tuple[list[int], float]:
    """Probe for a while what takes datagrams of ``takes`` bytes: the sizes probed, and the time."""
    probed, end = [], now + seconds
    while now < end:
        size = path.due(now)
        if size:
            probed.append(size)
            if size <= takes:
                path.proved(size, now + 0.001)
        now += 0.01
    return probed, now


@pytest.mark.parametrize("largest", [1472, 8972, 65_507])
def test_the_largest_is_tried_first(largest: int) -> None:
    path = PathSize(largest)
    assert path.size == BASE
    probed, _ = search(path, largest, 0.0)
    assert probed == [largest] and path.size == largest


@pytest.mark.parametrize("takes", [BASE, 1472, 1500, 3000, 8972, 20_000])
def test_the_largest_of_the_usual_sizes_that_arrives_is_found(takes: int) -> None:
    path = PathSize(65_507)
    search(path, takes, 0.0)
    assert path.size == max((size for size in SIZES if size <= takes), default=BASE)


def test_each_size_is_tried_a_few_times_and_the_search_ends() -> None:
    path = PathSize(8972)
    probed, _ = search(path, BASE, 0.0, AGAIN_S / 2)
    tried = [size for size in SIZES if BASE < size <= 8972]
    assert probed == [size for size in tried for _ in range(TRIES)]
    probed, _ = search(path, 3000, AGAIN_S / 2, AGAIN_S)
    assert path.size == 2972, "a path that takes more later is found, too"


def test_a_lost_probe_is_sent_again() -> None:
    path = PathSize(8972)
    assert path.due(0.0) == 8972 and path.due(PROBE_S / 2) == 0 and path.due(PROBE_S) == 8972


def test_where_nothing_larger_is_allowed_nothing_is_probed() -> None:
    assert search(PathSize(BASE), 65_507, 0.0)[0] == []
    assert search(PathSize(), 65_507, 0.0)[0] == []


def test_nobody_raises_the_size_beyond_what_is_allowed() -> None:
    path = PathSize(1472)
    path.proved(9000, 0.0)
    assert path.size == BASE


def test_silence_lowers_it_to_what_always_passes() -> None:
    path = PathSize(8972)
    search(path, 8972, 0.0)
    path.fell_silent(20.0)
    assert path.size == BASE and path.shrunk == 1
    probed, now = search(path, 1500, 20.0)
    assert path.size == 1472 and max(probed) < 8972, "what has just failed is not tried again at once"
    path.fell_silent(now)
    path.fell_silent(now)
    assert path.shrunk == 2, "what is as small as can be cannot be too large"


@pytest.mark.parametrize(
    ("host", "mtu", "overhead", "bytes_"),
    [
        ("10.0.1.1", 1500, 0, 1472),
        ("10.0.1.1", 1500, 32, 1440),
        ("10.0.1.1", 9000, 0, 8972),
        ("10.0.1.1", 1460, 32, 1400),
        ("127.0.0.3", 1500, 0, 65_507),
        ("127.0.0.3", 1500, 32, 65_475),
    ],
)
def test_what_may_be_tried(host: str, mtu: int, overhead: int, bytes_: int) -> None:
    assert largest_datagram(host, mtu, overhead) == bytes_
