"""The figures of one stretch of an open loop, and the histograms that they are of.

Quantiles are of all requests that were due: one without an answer, and one that was not begun, took longer than any
other. So a quantile is infinite where too many got no answer, and never looks better for them.
"""

from __future__ import annotations

import importlib.util
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.consensus.window import quantile
from bench.open.schedule import NO_ANSWER, NOT_BEGUN, OpenLoop

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

LONGEST_US = 3_600_000_000
"""Longer latencies count as this one."""
DIGITS = 3
WINDOW_S = 0.1
INSTALL = "hdrhistogram is missing; to have it: .venv/bin/pip install -e '.[bench]'"


@dataclass(frozen=True)
class Window:
    """A part of a stretch: its beginning in seconds from the stretch's, and the p99 of what was due in it in ms."""

    begin_s: float
    p99_ms: float


@dataclass(frozen=True)
class Measured:
    """One stretch. Latencies are milliseconds from when a request was due."""

    offered_per_s: float
    seconds: float
    due: int
    achieved_per_s: float
    """Requests answered while the stretch lasted, also some that were due before it."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    """Of those answered."""
    not_begun: int
    errors: int
    """Requests that were begun and got no result."""
    lag_p50_ms: float
    lag_p99_ms: float
    """How late requests were begun: the client's own slowness, which latencies hold as well."""
    client_share: float
    """Of one processor that the client used, 0 to 1."""
    windows: tuple[Window, ...]
    histogram: str
    """Latencies in microseconds, as ``HdrHistogram.encode`` gives them."""
    lags: str
    """How late requests were begun, likewise."""


def installed() -> bool:
    """Whether histograms can be made."""
    return importlib.util.find_spec("hdrh") is not None


def histogram(seconds: Iterable[float]) -> HdrHistogram:
    """Of durations, in microseconds."""
    from hdrh.histogram import HdrHistogram

    made = HdrHistogram(1, LONGEST_US, DIGITS)
    for microseconds, count in Counter(round(one * 1e6) for one in seconds).items():
        made.record_value(min(max(1, microseconds), LONGEST_US), count)
    return made


def measured(loop: OpenLoop, stretch: int, client_s: float) -> Measured:
    """The figures of a stretch of a loop that is closed. ``client_s``: CPU seconds that the client used in it."""
    numbers, (begin, end) = loop.numbers(stretch), loop.span(stretch)
    took = loop.took[numbers.start : numbers.stop]
    lags = histogram(
        lag for lag, one in zip(loop.lag[numbers.start : numbers.stop], took, strict=True) if one != NOT_BEGUN
    )
    latencies = histogram(one for one in took if one not in (NOT_BEGUN, NO_ANSWER))
    answers = sum(
        begin <= due + one < end
        for due, one in zip(loop.due[: numbers.stop], loop.took[: numbers.stop], strict=True)
        if one != NOT_BEGUN
    )
    due, not_begun, seconds = len(numbers), took.count(NOT_BEGUN), end - begin
    return Measured(
        offered_per_s=loop.stretches[stretch].rate,
        seconds=seconds,
        due=due,
        achieved_per_s=answers / seconds,
        p50_ms=_quantile_ms(latencies, due, 50.0),
        p99_ms=_quantile_ms(latencies, due, 99.0),
        p999_ms=_quantile_ms(latencies, due, 99.9),
        max_ms=latencies.get_max_value() / 1000 if latencies.total_count else math.inf,
        not_begun=not_begun,
        errors=due - not_begun - latencies.total_count,
        lag_p50_ms=lags.get_value_at_percentile(50.0) / 1000,
        lag_p99_ms=lags.get_value_at_percentile(99.0) / 1000,
        client_share=client_s / seconds,
        windows=tuple(windows(loop, stretch)),
        histogram=_text(latencies),
        lags=_text(lags),
    )


def _text(made: HdrHistogram) -> str:
    encoded = made.encode()
    return encoded.decode() if isinstance(encoded, bytes) else str(encoded)


def _quantile_ms(made: HdrHistogram, due: int, percent: float) -> float:
    """Of so many that were due, where those that are not in the histogram took longer than any."""
    rank = max(1, int(due * percent / 100 + 0.5))  # HdrHistogram's own rule
    if rank > made.total_count:
        return math.inf
    return float(made.get_value_at_percentile(100 * rank / made.total_count)) / 1000


def windows(loop: OpenLoop, stretch: int) -> Iterator[Window]:
    """The whole windows of a stretch in which anything was due."""
    numbers, (begin, end) = loop.numbers(stretch), loop.span(stretch)
    for window in range(round((end - begin) / WINDOW_S)):
        edges = (begin + window * WINDOW_S, begin + (window + 1) * WINDOW_S)
        first, last = (bisect_left(loop.due, edge - 1e-9, numbers.start, numbers.stop) for edge in edges)
        took = sorted(NO_ANSWER if one == NOT_BEGUN else one for one in loop.took[first:last])
        if took:
            yield Window(window * WINDOW_S, quantile(took, 0.99) * 1000)


def packed(one: Measured) -> dict[str, Any]:
    """A stretch as plain data, ``unpacked`` makes a stretch of it again."""
    return asdict(one)


def unpacked(told: dict[str, Any]) -> Measured:
    """Raises TypeError or KeyError for what is no stretch."""
    return Measured(**{**told, "windows": tuple(Window(**window) for window in told["windows"])})


def plain(told: Any) -> Any:
    """Data as JSON has it everywhere: null in place of what is infinite."""
    if isinstance(told, dict):
        return {name: plain(value) for name, value in told.items()}
    if isinstance(told, Sequence) and not isinstance(told, str):
        return [plain(value) for value in told]
    return None if isinstance(told, float) and not math.isfinite(told) else told
