"""What happened in a soak: written down as it happens, a JSON object a line, so that it can be judged again later.

Moments are nanoseconds of the machine's monotonic clock, which all clients share.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from topo.errors import LabError

END = "end"
"""The client that reads everything once the faults are over."""


@dataclass(frozen=True)
class Call:
    """An operation of a client, as in ``linearizability.operations``. ``ended`` None: no answer until ``over``,
    when the client gave up; it may still have been carried out. ``through``: the member or service that was
    asked first; ``served_by``: the member that answered."""

    client: str
    kind: str
    key: str | None
    argument: Any
    began: int
    over: int
    ended: int | None = None
    result: Any = None
    through: str = ""
    served_by: int = 0
    error: str = ""

    @property
    def writes(self) -> bool:
        return self.kind in ("put", "delete", "append")


@dataclass(frozen=True)
class Fault:
    """What was broken, from ``began`` on. ``healing``: its mending was ordered; ``whole``: all that was broken runs
    again."""

    what: str
    began: int
    healing: int
    whole: int


@dataclass(frozen=True)
class Switched:
    """A feature was put back, or taken away, at one switch, or at all if ``switch`` is empty."""

    feature: str
    on: bool
    switch: str
    at: int


@dataclass(frozen=True)
class Size:
    """The group was brought to ``size`` voters, which live on ``hosts``, between the moments ``began`` and
    ``reached``."""

    size: int
    hosts: tuple[str, ...]
    began: int
    reached: int


@dataclass
class History:
    """All of a soak. ``lists``: what each member has applied in the end. ``about``: the seed and the like."""

    about: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    sizes: list[Size] = field(default_factory=list)
    features: list[Switched] = field(default_factory=list)


class Recorder:
    """Takes notes of several threads, into a file and into ``history``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = History()
        self.answered = 0
        self._lock = threading.Lock()
        self._file = path.open("w")

    def about(self, facts: dict[str, Any]) -> None:
        self.history.about |= facts
        self._write({"about": facts})

    def call(self, call: Call) -> None:
        with self._lock:
            self.history.calls.append(call)
            self.answered += call.ended is not None
        self._write({"call": asdict(call)})

    def fault(self, fault: Fault) -> None:
        self.history.faults.append(fault)
        self._write({"fault": asdict(fault)})

    def size(self, size: Size) -> None:
        self.history.sizes.append(size)
        self._write({"size": asdict(size)})

    def switched(self, switched: Switched) -> None:
        self.history.features.append(switched)
        self._write({"feature": asdict(switched)})

    def list_of(self, node: str, values: list[Any]) -> None:
        self.history.lists[node] = values
        self._write({"list": values, "node": node})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, separators=(",", ":")) + "\n"
        with self._lock:
            self._file.write(text)


@contextmanager
def recording(path: Path) -> Iterator[Recorder]:
    """A new history in the file ``path``."""
    recorder = Recorder(path)
    try:
        yield recorder
    finally:
        recorder.close()


def read(path: Path) -> History:
    """A history from its file. Raises LabError."""
    history = History()
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise LabError(f"cannot read {path}: {error}") from error
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            if "call" in line:
                history.calls.append(Call(**line["call"]))
            elif "fault" in line:
                history.faults.append(Fault(**line["fault"]))
            elif "size" in line:
                size = line["size"]
                history.sizes.append(Size(size["size"], tuple(size["hosts"]), size["began"], size["reached"]))
            elif "feature" in line:
                history.features.append(Switched(**line["feature"]))
            elif "list" in line:
                history.lists[line["node"]] = line["list"]
            else:
                history.about |= line["about"]
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"{path}, line {number}: not a line of a soak's history ({error})") from error
    return history
