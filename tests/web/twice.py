"""What a recorder says of packets by what it remembers, and what looking into each says of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from web.remembered import Remembered
from web.ways import Ways


class Twice:
    """Of a run's packets every so many-th is read twice."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.seen = self.compared = self.by_memory = 0
        self._steps: dict[Ways, dict[int, list[Any]]] = {}
        self._other: Ways | None = None
        self._init, self._read, self._find = Ways.__init__, Ways.read, Remembered.find

    @contextmanager
    def watching(self) -> Iterator[None]:
        """All that has ways from now on is watched."""
        with (
            mock.patch.object(Ways, "__init__", lambda ways, *given: self._make(ways, *given)),
            mock.patch.object(Ways, "read", lambda ways, *given: self._look(ways, *given)),
            mock.patch.object(Remembered, "find", lambda what, *given: self._recall(what, *given)),
        ):
            yield

    def _make(self, ways: Ways, pipeline: Any, data: Any, tell: Any, cache: Any = None) -> None:
        steps = self._steps.setdefault(ways, {})

        def keep(way: int, told: list[Any]) -> None:
            steps[way] = told
            tell(way, told)

        self._init(ways, pipeline, data, keep, cache)
        if self._other is None:
            self._other = Ways.__new__(Ways)
            self._make(self._other, pipeline, data, lambda *_: None, cache)

    def _recall(self, what: Remembered, *given: Any) -> Any:
        found = self._find(what, *given)
        self.by_memory += found is not None
        return found

    def _look(
        self, ways: Ways, pipeline: Any, version: Any, frame: bytes, now_us: int, names: Any, records: bytes
    ) -> Any:
        told = self._read(ways, pipeline, version, frame, now_us, names, records)
        self.seen += 1
        if self.seen % self.every == 0:
            assert self._other is not None
            with mock.patch.object(Remembered, "find", return_value=None), mock.patch.object(Remembered, "keep"):
                other = self._read(self._other, pipeline, version, frame, now_us, names, records)
            known = {"now": now_us, "size": len(frame)} | {name: value for value, name in names.items()}
            assert (told[0], told[3]) == (other[0], other[3])
            one = resolved(self._steps[ways][told[1]], told[2], known)
            two = resolved(self._steps[self._other][other[1]], other[2], known)
            assert len(one) == len(two)
            for a, b in zip(one, two, strict=True):
                assert a == b or (a[0] == b[0] and None in (a[-1], b[-1])), (a, b)
            self.compared += 1
        return told


def resolved(steps: list[Any], values: list[Any], known: dict[str, int]) -> list[Any]:
    """What a way and a hop's values say: steps, and fields with their values; None for those of another field."""
    told = iter(values)
    found: list[Any] = []
    for step in steps:
        changes = [] if step[0] == "sent" else step[-1]
        found.append(step if step[0] == "sent" else step[:-1])
        for number, *what in changes:
            if isinstance(number, str):
                found.append([number, *what[:1], *[next(told) for one in what[1:] for _ in one]])
            elif what[0] is None:
                found.append([number, next(told)])
            elif isinstance(what[0], list) or what[0] == "checksum":
                found.append([number, None])
            else:
                found.append([number, known.get(what[0], what[0])])
    assert next(told, None) is None
    return found
