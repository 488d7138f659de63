"""Stub switches, running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from controller.program import Program
from tests.controller.stub_program import write_program
from tests.controller.triangle import Lab


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return Program(*write_program(tmp_path_factory.mktemp("program")))


@pytest.fixture
def program_files(tmp_path: Path) -> tuple[Path, Path]:
    return write_program(tmp_path)


@pytest_asyncio.fixture
async def lab(program: Program) -> AsyncIterator[Lab]:
    found = Lab(program)
    await found.start()
    yield found
    await found.stop()
