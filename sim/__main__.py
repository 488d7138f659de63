"""``python -m sim``: the same as ``switchraft sim``."""

from __future__ import annotations

import typer

from topo.commands import simulator
from topo.ending import told


def main() -> None:
    """Run the command line."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    simulator.add_to(app)
    with told("sim"):
        app(prog_name="python -m sim")


if __name__ == "__main__":
    main()
