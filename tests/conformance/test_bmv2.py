"""The comparison with BMv2 starts a simple_switch_grpc of its own: here a script in its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conformance.bmv2.process import Bmv2, ReferenceError
from tests.topo.standin import simple_switch_grpc
from topo.paths import ROOT


@pytest.mark.parametrize("thrift", [True, False], ids=["with Thrift", "without Thrift"])
def test_what_a_bmv2_printed_before_it_ended_is_shown(tmp_path: Path, thrift: bool) -> None:
    simple_switch_grpc(tmp_path, thrift=thrift, then="echo 'no such device: eth7'; exit 3")
    with pytest.raises(ReferenceError, match="ended with code 3; its last lines:\n  no such device: eth7"):
        Bmv2(tmp_path)


def test_a_bmv2_that_does_not_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "simple_switch_grpc").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "simple_switch_grpc").chmod(0o755)
    with pytest.raises(ReferenceError, match="--help does not tell its options"):
        Bmv2(tmp_path)


@pytest.mark.parametrize(("former", "now"), [("against_bmv2", "bmv2"), ("ptf_tests", "ptf")])
def test_a_command_that_has_moved_says_where(former: str, now: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"scripts.{former}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and f"python -m conformance {now}" in done.stderr
