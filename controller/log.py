"""The controller's log: one line per event, with the time, for people."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

log = logging.getLogger("switchraft.controller")


def start_log(path: str | None, *, verbose: bool = False) -> None:
    """Write to standard error, and to ``path`` too. Raises OSError if that cannot be opened."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03d %(message)s", "%H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(formatter)
        log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("finsy").setLevel(logging.CRITICAL)
