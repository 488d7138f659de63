"""What `conformance.ptf_tests` takes from a folder's runptf.sh."""

from __future__ import annotations

from pathlib import Path

from conformance.ptf_tests import Suite, suites

RUN = """#!/bin/bash
# sudo simple_switch_grpc -i 7@veth14
sudo simple_switch_grpc --log-flush \\
     -i 1@veth2 -i 3@veth6 \\
     --no-p4 -- --cpu-port 510 &
sudo ptf -i 1@veth3 -i 3@veth7 --test-dir ptf
p4c --target bmv2 \\
    one.p4
"""


def test_a_suite_has_the_ports_that_its_script_gives_it(tmp_path: Path) -> None:
    (tmp_path / "runptf.sh").write_text(RUN)
    assert list(suites(tmp_path)) == [Suite(tmp_path, "one.p4", "ptf", "510", (1, 3))]


def test_another_target_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "runptf.sh").write_text(RUN.replace("simple_switch_grpc", "infrap4d"))
    assert list(suites(tmp_path)) == []
