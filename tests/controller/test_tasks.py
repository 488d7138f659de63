"""Waiting for a limited time."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from controller.tasks import CalledOff, within


async def test_what_comes_in_time_is_given_and_what_fails_is_raised() -> None:
    async def fails() -> None:
        raise ValueError("so it is")

    assert await within(asyncio.sleep(0, "here"), 60) == "here"
    with pytest.raises(ValueError, match="so it is"):
        await within(fails(), 60)


async def test_what_takes_too_long_is_cancelled() -> None:
    waits = asyncio.ensure_future(asyncio.Event().wait())
    with pytest.raises(asyncio.TimeoutError):
        await within(waits, 0.01)
    assert waits.cancelled()


async def test_what_others_cancel_does_not_end_the_task_that_waits() -> None:
    for seconds in (None, 60):
        waits = asyncio.ensure_future(asyncio.Event().wait())
        task = asyncio.ensure_future(within(waits, seconds))
        await asyncio.sleep(0.01)
        waits.cancel()
        with pytest.raises(CalledOff):
            await task
        assert not task.cancelled()


async def test_who_waits_for_ever_may_be_cancelled() -> None:
    waits = asyncio.ensure_future(asyncio.Event().wait())
    task = asyncio.ensure_future(within(waits, None))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waits.cancelled()


@pytest.mark.parametrize("turns", range(6))
async def test_a_task_that_loops_ends_whenever_it_is_cancelled(turns: int) -> None:
    """Also just as what it waits for is there, which is some turns of the loop after that was set."""
    event = asyncio.Event()

    async def loop() -> None:
        while True:
            await within(event.wait(), 60)
            event.clear()

    task = asyncio.ensure_future(loop())
    await asyncio.sleep(0.01)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait((task,), timeout=10)
    assert done and task.cancelled()


@pytest.mark.parametrize("turns", range(6))
async def test_a_failure_that_nobody_waits_for_any_more_is_no_complaint(turns: int) -> None:
    """Also just as the waiting task is cancelled."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    event = asyncio.Event()

    async def fails() -> None:
        await event.wait()
        raise OSError("nothing listens")

    task = asyncio.ensure_future(within(fails(), 60))
    await asyncio.sleep(0.01)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert not complaints
