"""What the controller writes down, as it does: the lines of its log, each with its time."""

from __future__ import annotations

import re
import time
from pathlib import Path

_LINE = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{3}) (.*)")
_DAY_S = 86_400


class Decisions:
    """A log that is read as it grows, from its end at the first look on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at = self._size()
        self._rest = b""

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def take(self, now_ns: int) -> list[tuple[int, str]]:
        """What was written since: nanoseconds since 1970, and the text."""
        size = self._size()
        if size == self._at:
            return []
        if size < self._at:
            self._at, self._rest = 0, b""  # another lab's, begun anew
        try:
            with self._log.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except OSError:
            return []
        self._at += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        found = []
        for line in lines:
            told = _LINE.fullmatch(line.decode(errors="replace"))
            if told is not None and told[5]:
                found.append((_time_of(told, now_ns), told[5]))
        return found


def _time_of(line: re.Match[str], now_ns: int) -> int:
    """When a line was written, not after now: it has the time of the day alone."""
    now = time.localtime(now_ns / 1e9)
    hours, minutes, seconds, milliseconds = (int(line[number]) for number in range(1, 5))
    midnight = now_ns // 10**9 - (now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec)
    at = (midnight + hours * 3600 + minutes * 60 + seconds) * 10**9 + milliseconds * 10**6
    return at if at <= now_ns + 10**9 else at - _DAY_S * 10**9
