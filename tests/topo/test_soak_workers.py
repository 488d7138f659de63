"""A soak's client that fails ends the soak, with what it died of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from topo.errors import LabError
from topo.soak.conductor import Conductor, Wanted
from topo.soak.history import recording
from topo.soak.load import Worker, habits
from topo.topology import find


class NoLab(SimpleNamespace):
    """A lab whose hosts have gone."""

    topology = find("triangle")

    def holder(self, host: str) -> Any:
        raise ProcessLookupError(f"no shell on {host}")


def test_a_client_that_fails_is_told_at_once(tmp_path: Path) -> None:
    live: Any = NoLab()
    with recording(tmp_path / "soak.jsonl") as recorder:
        conductor = Conductor(live, Wanted(1), recorder, print)
        worker = Worker(live, habits(live, 0.1)[0], 1, recorder, ("h1", "h2", "h3"))
        conductor._workers = [worker]
        worker.start()
        worker.join()
        with pytest.raises(LabError, match=r"client h11\.0 of the soak has failed:\n") as failed:
            conductor._until("acknowledged write", lambda: False)
    lines = str(failed.value).splitlines()
    assert lines[-1] == "  ProcessLookupError: no shell on h11"
    assert any("in _run" in line for line in lines[:-1])
