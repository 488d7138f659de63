"""send, put, get, delete, client: what a client does."""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None: ...
