"""The clock by which members count time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

boottime: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since the machine was started, those in which it was suspended among them. ``time.monotonic`` leaves those
out on Linux (clock_gettime(2)): a member would take what was so before for young, and a lease for valid."""
