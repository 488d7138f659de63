"""A run of datagrams is what as many single ones would be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hosts.net.flight import OVERHEAD_BYTES, Run
from hosts.wire import FragmentStatus


def singly(run: Run) -> list[tuple[int, int, int]]:
    """Offset, end and order of each datagram."""
    starts = range(run.offset, run.end, run.step)
    return [(at, min(at + run.step, run.end), run.order + number) for number, at in enumerate(starts)]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    offset, step = draw(st.integers(0, 40)), draw(st.integers(1, 9))
    size = draw(st.integers(1, 60))
    return Run(offset, offset + size, step, draw(st.integers(1, 1000)), 1.5, draw(st.booleans()))


@st.composite
def told(draw: st.DrawFn) -> FragmentStatus:
    edges = sorted(draw(st.sets(st.integers(0, 110), max_size=9)))
    highest = edges.pop() if len(edges) % 2 else draw(st.integers(edges[-1] if edges else 0, 120))
    return FragmentStatus(1, 200, highest, tuple(zip(edges[::2], edges[1::2], strict=True)))


@given(runs())
def test_size_and_order(run: Run) -> None:
    each = singly(run)
    assert run.last == each[-1][2]
    assert run.size == sum(end - offset + OVERHEAD_BYTES for offset, end, _ in each)


@given(runs(), st.integers(1, 70))
def test_cut(run: Run, count: int) -> None:
    front, rest = run.cut(count)
    assert singly(front) == singly(run)[:count]
    assert (singly(rest) if rest is not None else []) == singly(run)[count:]
    assert {one.sent_at for one in (front, rest) if one is not None} == {1.5}
    assert {one.again for one in (front, rest) if one is not None} == {run.again}


@given(runs(), told())
def test_sort(run: Run, status: FragmentStatus) -> None:
    arrived, others = run.sort(status)
    came = {one for one in singly(run) if status.covers(*one[:2])}
    assert [one for part in arrived for one in singly(part)] == sorted(came)
    assert [one for part in others for one in singly(part)] == sorted(set(singly(run)) - came)
    assert len(arrived) + len(others) <= 2 * len(status.missing) + 2, "runs stay whole where they can"
