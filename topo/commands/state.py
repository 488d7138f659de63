"""status, leader, counters, tables, log: what nodes and switches really hold."""
from __future__ import annotations
import typer
def add_to(app: typer.Typer) -> None: ...
