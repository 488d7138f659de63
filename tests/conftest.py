"""What tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4switch.pipeline.native import default_cache


@pytest.fixture(scope="session")
def build_cache() -> Path:
    """Where built programs are kept for the next run, too: each has the name of all that it was made of."""
    return default_cache()
