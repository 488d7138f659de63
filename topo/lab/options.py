"""What `switchraft lab` is asked for, as it travels from the command to the process that owns the lab."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """``switch``: auto, bmv2 or embedded. ``compiler``: p4c, p4compiler, or None for the switch's own.
    ``nodes``: auto (the lab starts them) or manual. ``keep``: carry on with the last lab's node data.
    ``snapshot_entries``: other than the topology file has it. ``page``: serve the page of the lab, too."""

    topology: str = "triangle"
    switch: str = "auto"
    compiler: str | None = None
    nodes: str = "auto"
    keep: bool = False
    snapshot_entries: int | None = None
    page: bool = False
