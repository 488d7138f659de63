"""Numbers on the command line, with what they may be: for argparse's ``type``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from p4switch.options import whole

A_DAY_S = 86_400.0

count = whole(1, 1_000_000_000)
"""Of rounds, pairs, entries, clients: none of them would measure nothing."""


def real(least: float, most: float) -> Callable[[str], float]:
    """A number from ``least`` to ``most``; nan is none."""

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = least - 1
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g} to {most:g}")
        return found

    return read


seconds = real(0.01, A_DAY_S)
