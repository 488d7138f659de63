"""What holds for all tests: which of them may run at the same time, in two processes."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One after the other: tests that make interfaces and labs under fixed names; nodes, which look for free ports;
    and the tests of a file, which share what they have made."""
    for item in items:
        if item.get_closest_marker("root"):
            group = "interfaces"
        elif item.path.parent == HERE / "hosts":
            group = "nodes"
        else:
            group = str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
