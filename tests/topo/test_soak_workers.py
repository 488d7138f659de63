"""A soak's client that fails ends the soak, with what it died of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from topo.errors import LabError, UsageError
from topo.soak.conductor import Conductor, Wanted
from topo.soak.history import recording
from topo.soak.load import Worker, habits
from topo.soak.sizes import NAMES_ONLY, answered, cut_back, draw, padded, parse_value_bytes
from topo.topology import find


class NoLab(SimpleNamespace):
    """A lab whose hosts have gone."""

    topology = find("triangle")

    def holder(self, host: str) -> Any:
        raise ProcessLookupError(f"no shell on {host}")


def test_a_client_that_fails_is_told_at_once(tmp_path: Path) -> None:
    live: Any = NoLab()
    with recording(tmp_path / "soak.jsonl") as recorder:
        conductor = Conductor(live, Wanted(1), recorder, print)
        worker = Worker(live, habits(live, 0.1)[0], 1, recorder, ("h1", "h2", "h3"))
        conductor._workers = [worker]
        worker.start()
        worker.join()
        with pytest.raises(LabError, match=r"client h11\.0 of the soak has failed:\n") as failed:
            conductor._until("acknowledged write", lambda: False)
    lines = str(failed.value).splitlines()
    assert lines[-1] == "  ProcessLookupError: no shell on h11"
    assert any("in _run" in line for line in lines[:-1])


# -- values of many sizes -------------------------------------------------------------------------------------------


def test_a_padded_value_is_cut_back_to_its_name() -> None:
    for size in (64, 1000, 200_000):
        value = padded("h11.0-17", size)
        assert len(value) == size
        assert cut_back(value) == "h11.0-17"
    assert padded("h11.0-17", 0) == cut_back("h11.0-17") == "h11.0-17"
    assert cut_back(None) is None and cut_back(7) == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value[:500] + "x" + value[501:],
        lambda value: value[:500] + value[501:],
        lambda value: value[:500] + padded("h11.1-17", 995)[500:],
        lambda value: value + "h",
        lambda value: padded("h11.0-17", 2 * len(value))[: len(value)],
        lambda value: value[:-1],
        lambda value: value[:10],
        lambda value: value + padded("h11.0-17", 995)[995 % 17 :],
    ],
    ids=[
        "a byte is another",
        "a byte is missing",
        "another value's end",
        "longer",
        "half of a longer one",
        "shorter",
        "its beginning",
        "twice",
    ],
)
def test_a_spoiled_value_is_what_nobody_has_written(change: Callable[[str], str]) -> None:
    spoiled = cut_back(change(padded("h11.0-17", 995)))
    assert spoiled != "h11.0-17"


def test_drawn_sizes_are_small_as_often_as_large() -> None:
    random = Random(1)
    sizes = [draw(random, (100, 200_000)) for _ in range(1000)]
    assert 100 <= min(sizes) < 200 and 100_000 < max(sizes) <= 200_000
    assert 400 < sum(size < 4_500 for size in sizes) < 600
    assert draw(random, NAMES_ONLY) == 0


def test_only_an_answer_that_had_no_room_may_be_short() -> None:
    full = [padded(f"v{number}", 200_000) for number in range(5)]
    assert answered((0, 20), (30, full), 200_000) == (0, 5)
    assert answered((0, 20), (30, full[:3]), 200_000) == (0, 20), "there was room for another"
    assert answered((0, 20), (30, []), 200_000) == (0, 20), "one there is always room for"
    assert answered((28, 20), (30, full[:2]), 200_000) == (28, 20), "all that there are"


@pytest.mark.parametrize("text", ["", "100", "a-b", "200-100", "1-100", "100-2000000", "-5-100", "100-200-300"])
def test_what_is_no_range_of_sizes_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--values"):
        parse_value_bytes(text)
    assert parse_value_bytes("100-200000") == (100, 200_000)
