"""To which address a client speaks, without a lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from topo.errors import UsageError
from topo.views.destination import choose


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text("groups:\n  - {id: 1, members: {1: 10.0.0.1, 2: 10.0.0.2}}\n")
    return path


def test_a_target_is_a_member_or_an_address(cluster: Path) -> None:
    assert choose(None, None, cluster).servers == (("10.0.0.1", 26410), ("10.0.0.2", 26410))
    assert choose(None, "2", cluster).servers == (("10.0.0.2", 26410),)
    assert choose(None, "10.9.9.9", cluster).servers == (("10.9.9.9", 26410),)
    assert choose(None, "10.9.9.9:7", cluster).servers == (("10.9.9.9", 7),)


@pytest.mark.parametrize("port", ["no", "", "0", "65536", "²", "0026410", "-1", "9" * 5000])
def test_a_port_that_is_none_is_told(cluster: Path, port: str) -> None:
    with pytest.raises(UsageError, match=r"10\.9\.9\.9:.*is no port"):
        choose(None, f"10.9.9.9:{port}", cluster)
