"""What `switchraft limit` prints once a limit has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from topo import topology
from topo.commands.limits import limit
from topo.views import limits


class Lab:
    """A lab whose controller does what it is asked."""

    topology = topology.find("triangle")

    @classmethod
    def find(cls) -> Lab:
        return cls()

    def ask_controller(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["cmd"] == "limit"
        return {}


@pytest.mark.parametrize(("rate", "per_second", "text"), [("5/s", 5, "5/s"), ("off", None, "no limit")])
def test_a_change_is_told_to_people_and_to_programs(
    rate: str, per_second: int | None, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(limits, "Live", Lab)
    limit("h11", rate, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"h11": {"per_second": per_second}}
    limit("h11", rate)
    assert capsys.readouterr().out == f"h11: {text}\n"
