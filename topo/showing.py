"""Printing for people and for programs, once or over and over."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

REFRESH_S = 0.5


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def show(gather: Callable[[], Any], render: Callable[[Any], Any], *, watch: bool, as_json: bool) -> None:
    """Print what ``gather`` finds; with ``watch``, until Ctrl-C."""
    if as_json:
        print_json(gather())
        while watch:
            time.sleep(REFRESH_S)
            print_json(gather())
        return
    from rich.console import Console

    console = Console()
    if not watch:
        console.print(render(gather()))
        return
    from rich.live import Live

    with Live(render(gather()), console=console, auto_refresh=False, screen=console.is_terminal) as shown:
        while True:
            time.sleep(REFRESH_S)
            shown.update(render(gather()), refresh=True)
