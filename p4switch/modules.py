"""Commands that run modules from where this one lies, whatever lies in the folder in which somebody calls them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1].absolute()


def run_module(name: str) -> list[str]:
    """The beginning of a command line, as ``python -m name``. That would look for modules in the current folder
    first, also for those of the standard library: a user's ``random.py`` would be run in its place."""
    first = f"import sys; sys.path[0] = {str(ROOT)!r}; import runpy"
    return [sys.executable, "-c", f"{first}; runpy.run_module({name!r}, run_name='__main__', alter_sys=True)"]
