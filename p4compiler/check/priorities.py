"""Priorities of a table's entries (P4_16 specification, section "Entry priorities")."""

from __future__ import annotations

from collections.abc import Sequence

MAX_PRIORITY = (1 << 31) - 1
"""P4Runtime's priorities are 32-bit signed integers above 0."""


def entry_priorities(given: Sequence[int | None], largest_wins: bool, delta: int) -> list[int]:
    """The number of each entry, in the order of the program; `given`: what the program says, if it says anything.

    If it says something for any entry, then for the first.
    """
    if all(number is None for number in given):
        upwards = [1 + delta * i for i in range(len(given))]
        return upwards[::-1] if largest_wins else upwards
    numbers: list[int] = []
    for number in given:
        if number is None:
            number = numbers[-1] - delta if largest_wins else numbers[-1] + delta
        numbers.append(number)
    return numbers


def runtime_priorities(numbers: Sequence[int], largest_wins: bool) -> list[int]:
    """What P4Runtime calls them: above 0, and the largest wins. Differences stay as they are."""
    return list(numbers) if largest_wins else [max(numbers, default=0) + 1 - number for number in numbers]
