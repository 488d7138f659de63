"""Waiting for a limited time, so that a task that is cancelled meanwhile does end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


class CalledOff(ConnectionError):
    """What was waited for was cancelled, and not by who waited for it."""


async def within(awaited: Awaitable[Result], seconds: float | None) -> Result:
    """What ``awaited`` gives. Raises asyncio.TimeoutError if that takes longer (None: it may take for ever), and
    cancels it; CalledOff if somebody else does: the CancelledError would be taken for one of the task that waits.

    As ``asyncio.wait_for``, but that loses a cancellation which comes just as what it waits for is there, before
    Python 3.12 (https://github.com/python/cpython/issues/86296): a task that loops around it goes on for ever.
    """
    task = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait((task,), timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        if task.cancelled():
            raise CalledOff
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # where nobody waits for it any more it would be logged as one that nobody saw
