"""What clients saw: operations with their answers, and what can be wrong with a history of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_SHOWN = 24
"""Operations shown around an anomaly."""


@dataclass(slots=True)
class Operation:
    """One call. ``began`` and ``ended`` are moments on one clock without ties; ``ended`` None: no answer.

    | kind | argument | result |
    |---|---|---|
    | put | value | whether the key was there |
    | get | - | (whether the key is there, value) |
    | delete | - | whether the key was there |
    | append | value; every value is appended by one operation only | its position |
    | read_list | (start, limit) | (length of the list, values) |
    """

    kind: str
    key: Any
    argument: Any
    began: int
    ended: int | None = None
    result: Any = None
    client: str = ""

    def __str__(self) -> str:
        key = "" if self.key is None else f"{self.key!r}"
        argument = "" if self.argument is None else f"{', ' if key else ''}{self.argument!r}"
        answer = "no answer" if self.ended is None else repr(self.result)
        ended = "" if self.ended is None else self.ended
        return f"[{self.began}..{ended}] {self.client} {self.kind}({key}{argument}) -> {answer}"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Why a history is not linearizable, for people."""

    object: str
    reason: str
    around: tuple[Operation, ...]
    """The operations at which the longest possible order ends."""

    def __str__(self) -> str:
        lines = [f"{self.object}: {self.reason}", *(f"    {operation}" for operation in self.around)]
        return "\n".join(lines)
