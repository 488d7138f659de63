"""Clusters under seeded faults; the invariants are checked after every event (see network.py)."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.raft.network import soak

SEEDS = int(os.environ.get("RAFT_SEEDS", "160"))
BLOCK = 40
"""Seeds in which everything must be seen: the rarest thing some fifteen times."""


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_safety_under_faults_and_liveness_after_them(first: int) -> None:
    totals: Counter[str] = Counter()
    for seed in range(first, first + BLOCK):
        network = soak(seed)
        totals.update(network.counts)
        totals["committed"] += len(network.committed)
    for what in (
        "elections",
        "truncations",
        "crashes",
        "partitions",
        "busy",
        "misdelivered",
        "lost",
        "committed",
        "transfers",
        "reads",
        "reads at followers",
        "questions along",
        "answers along",
        "lease reads",
        "changes",
        "joint configurations",
        "learners",
        "leaders removed",
        "compactions",
        "snapshots installed",
    ):
        assert totals[what], f"no {what} in seeds {first}..{first + BLOCK - 1}: they test too little"


def test_safety_over_the_real_log_when_machines_lose_power() -> None:
    """Every vote, term and acknowledgement that has left is still there: the same invariants, over the real log."""
    crashes = 0
    for seed in range(1000, 1040):
        crashes += soak(seed, power=True, ticks=300).counts["crashes"]
    assert crashes > 40


def test_the_same_seed_gives_the_same_run() -> None:
    assert soak(7, size=5).arrived == soak(7, size=5).arrived
    assert soak(7, size=5).arrived != soak(8, size=5).arrived
