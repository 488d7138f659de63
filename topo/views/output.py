"""Printing for people and for programs, once or over and over."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

REFRESH_S = 0.5
PIPE_COLUMNS = 120


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
    if not console.is_terminal:
        console.width = PIPE_COLUMNS
    if not watch:
        console.print(_drawn(render(gather())), soft_wrap=True)
        return
    from rich.live import Live

    with Live(_drawn(render(gather())), console=console, auto_refresh=False, screen=console.is_terminal) as shown:
        while True:
            time.sleep(REFRESH_S)
            shown.update(_drawn(render(gather())), refresh=True)


def _drawn(rendered: Any) -> Any:
    """Plain text as it is, without rich's markup."""
    from rich.text import Text

    return Text(rendered, no_wrap=True, overflow="ignore") if isinstance(rendered, str) else rendered
