"""view: a recorded run in a browser, or as one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("view")(view)


def view(
    file: Annotated[Path, typer.Argument(help="A recording: see `sim --record`.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write page and run as one file, and show nothing.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On loopback; 0: any that is free.")] = 0,
) -> None:
    """Show a recorded run in a browser: stop it, go back, look into every packet."""
    import tempfile

    from web import one_file, recording, server

    packed, cut = recording.whole(file)
    with tempfile.TemporaryDirectory(prefix="switchraft-") as folder:
        shown = file
        if cut:
            print(f"switchraft: {file} is cut short in line {cut}; what is before that is shown", file=sys.stderr)
            shown = Path(folder) / "run.rec"
            shown.write_bytes(packed)
        if html is not None:
            one_file.write(shown, html)
            print(f"{html}: {html.stat().st_size / 1e6:.1f} MB; open it in any browser")
            return
        server.serve(shown, port)


@contextmanager
def wanted(record: Path | None, html: Path | None, *, serve: bool) -> Iterator[Path | None]:
    """The file that a run is to be recorded in, None if it need not be. What is wanted of it is done afterwards."""
    if record is None and html is None and not serve:
        yield None
        return
    import tempfile

    from web import one_file, server

    with tempfile.TemporaryDirectory(prefix="switchraft-") as folder:
        file = record or Path(folder) / "run.rec"
        yield file
        if html is not None:
            one_file.write(file, html)
            print(f"{html}: {html.stat().st_size / 1e6:.1f} MB; open it in any browser")
        if serve:
            server.serve(file, 0)
