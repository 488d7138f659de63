"""raft.p4, compiled once and run in process: packets in, packets out, no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from p4switch.pipeline.pipeline import Exact, Lpm, Pipeline
from tests.p4.triangle import (
    ADDRESS,
    CLIENT,
    GROUP,
    H1,
    H11,
    REPOSITORY,
    SERVICE,
    TO_S2,
    TO_S3,
    WINDOW_US,
    Switch,
    host_mac,
    ipv4,
    mac,
)


@pytest.fixture(scope="session")
def raft_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("p4")
    subprocess.run(
        [sys.executable, "-m", "p4compiler", str(REPOSITORY / "p4/raft.p4"), "-o", str(folder)],
        check=True,
        cwd=REPOSITORY,
    )
    return folder / "raft.json"


@pytest.fixture
def bare(raft_json: Path) -> Switch:
    """No entries but routes."""
    switch = Switch(Pipeline.load(raft_json))
    for address, port in ((ADDRESS[1], H1), (CLIENT, H11), (ADDRESS[2], TO_S2), (ADDRESS[3], TO_S3)):
        switch.insert("ipv4_lpm", [Lpm(ipv4(address), 32)], "forward", mac(host_mac(address)), port)
    return switch


@pytest.fixture
def switch(bare: Switch) -> Switch:
    """Fully programmed: s1 with leader h1 in term 5."""
    for trunk in (TO_S2, TO_S3):
        bare.insert("port_roles", [Exact(trunk)], "set_trunk")
    bare.insert("members", [Exact(GROUP), Exact(1), Exact(ipv4(ADDRESS[1])), Exact(H1)], "is_member")
    bare.insert("guard_enforce", [Exact(GROUP)], "enforce")
    bare.set_leader(1, 5, ADDRESS[1])
    bare.insert("leader_watch", [Exact(GROUP)], "watch", WINDOW_US)
    bare.insert("term_filter", [Exact(GROUP)], "drop_stale")
    bare.insert("leader_route", [Exact(GROUP)], "steer_to_leader")
    bare.insert("service_addresses", [Exact(ipv4(SERVICE))], "is_service")
    return bare
