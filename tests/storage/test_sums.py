"""The checksum of any part of some bytes, from one pass over them."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from hosts.storage.sums import BLOCK_BYTES, PartSums, over_zeros


@given(st.binary(max_size=4 * BLOCK_BYTES), st.data(), st.integers(0, 2**32 - 1))
def test_every_parts_sum_is_what_summing_it_gives(data: bytes, draw: st.DataObject, begun: int) -> None:
    first = draw.draw(st.integers(0, len(data)))
    sums = PartSums(data, first)
    start = draw.draw(st.integers(first, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    assert sums.of(start, end, begun) == crc32c(data[start:end], begun)


@pytest.mark.parametrize("length", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_parts_at_the_ends_of_blocks(length: int) -> None:
    data = bytes(range(256)) * 5
    for first in (0, 5):
        sums = PartSums(data, first)
        for start in (first, first + BLOCK_BYTES, len(data) - length):
            assert sums.of(start, start + length, 77) == crc32c(data[start : start + length], 77)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 65_535, 65_536, (1 << 24) + 3, (64 << 20) + 4096])
def test_what_zeros_make_of_a_sum(count: int) -> None:
    zeros = bytes(count)
    for crc in (0, 1, 0x8000_0000, 0xDEAD_BEEF):
        assert over_zeros(crc, count) == crc32c(zeros, crc) ^ crc32c(zeros, 0)
