"""A network in this process for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.follow.network import Lab


@pytest.fixture
def net() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()
