"""Who may do what: namespaces and switches need root."""

from __future__ import annotations

import os
import shlex
import sys

from topo.errors import LabError


def check_root(purpose: str) -> None:
    """Raises LabError with the command to type instead, unless root calls. ``purpose``: what root is needed for."""
    if os.geteuid() != 0:
        raise LabError(f"{purpose} needs root; type: sudo {shlex.join(sys.argv)}")
