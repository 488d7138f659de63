"""The demo as a newcomer runs it."""

from __future__ import annotations

import os

from tests.lab.conftest import Shell, nothing_left
from topo.lab import record


def test_the_demo(shell: Shell) -> None:
    shown = shell.try_("demo", "--switch", os.environ.get("SWITCHRAFT_SWITCH", "embedded"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "0 % dropped" in shown.stdout
    assert "all of it happened" in shown.stdout
    assert record.load() is None
    nothing_left("none")
