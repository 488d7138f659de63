"""What --filter names, as bytes of a frame."""

from __future__ import annotations

import pytest

from bench.switch import workload
from p4switch.trace.events import Filter
from topo.errors import UsageError
from topo.views.trace import choose


def matches(chosen: Filter, frame: bytes) -> bool:
    """As runtime/p4_trace.h has it."""
    return not chosen or any(
        all(int.from_bytes(frame[t.offset : t.offset + 2], "big") & t.mask == t.value for t in terms)
        for terms in chosen
    )


@pytest.mark.parametrize(
    ("wanted", "raft", "plain"),
    [
        ("all", True, True),
        ("raft", True, False),
        ("udp=26410", True, False),
        ("udp=9", False, True),
        ("host=10.0.2.2", True, True),
        ("host=10.0.9.9", False, False),
    ],
)
def test_a_filter_chooses_frames(wanted: str, raft: bool, plain: bool) -> None:
    chosen = choose(wanted, 26410)
    assert matches(chosen, workload.raft_frame(64)) == matches(chosen, workload.raft_frame(64, back=True)) == raft
    assert matches(chosen, workload.plain_frame(64)) == plain


@pytest.mark.parametrize("wanted", ["nonsense", "udp=", "udp=99999", "host=10.0.0", "raft=1"])
def test_an_unknown_filter_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="--filter"):
        choose(wanted, 26410)
