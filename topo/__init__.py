"""The Mininet lab, topology files, scenarios and the `switchraft` command."""

from __future__ import annotations

import os
import sys

if "SUDO_UID" in os.environ and os.geteuid() == 0:
    # With sudo, no process of the lab may leave root's compiled modules in the invoking user's checkout.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
