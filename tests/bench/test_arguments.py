"""Numbers on the command line that would measure nothing, or never end: each is refused before anything is built."""

from __future__ import annotations

import sys

import pytest

from bench.__main__ import main

WHOLE = {
    "accel": ("pairs",),
    "bulk": ("value-mib", "part-kib"),
    "catchup": ("entries", "outstanding", "value-bytes", "snapshot-entries", "rounds"),
    "commit": ("rounds", "nodes", "groups", "size", "outstanding"),
    "core": ("entries", "batch", "rounds"),
    "curve": ("rounds", "nodes", "size", "shares"),
    "failover": ("kills", "heartbeat", "election-timeout", "outstanding"),
    "limit": ("pairs", "flood", "limit", "outstanding"),
    "lossy": ("values", "size", "outstanding", "largest"),
    "metrics": ("pairs", "outstanding", "nodes"),
    "read": ("pairs", "clients", "nodes", "reads", "outstanding"),
    "recovery": ("rounds",),
    "switch": ("rounds", "size", "mtu"),
}
REAL = {
    "accel": ("seconds",),
    "bulk": ("seconds", "snapshot-gib"),
    "catchup": ("seconds",),
    "commit": ("seconds", "at-most"),
    "curve": ("seconds", "recovery"),
    "failover": ("load-minutes",),
    "limit": ("seconds",),
    "lossy": ("loss", "twice", "overtaken", "delay-ms"),
    "metrics": ("seconds", "interval"),
    "read": ("seconds",),
    "switch": ("trial", "at-most"),
}


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        *(
            (command, option, value)
            for command, options in WHOLE.items()
            for option in options
            for value in ("0", "-1")
        ),
        *(
            (command, option, value)
            for command, options in REAL.items()
            for option in options
            for value in ("-1", "nan", "inf")
        ),
        ("core", "size", "-1"),
        ("curve", "seconds", "0"),
        ("curve", "recovery", "0.1"),
        ("lossy", "seed", "-1"),
        ("lossy", "loss", "101"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    command: str, option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", command, f"--{option}", value])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"argument --{option}: {value}" in last and ("number" in last or "a value has" in last), last
