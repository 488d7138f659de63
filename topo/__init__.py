"""The Mininet lab and the `switchraft` command.

cli, commands/           the command; each subcommand imports what it needs when it runs
topology, topologies/    what a lab consists of
lab/                     the running lab
views/                   what commands show
follow/                  a packet's whole way
metrics/                 the lab's state for Prometheus
soak/, demo              faults under load; the story on real packets
paths, root, errors
"""

from __future__ import annotations

import os
import sys

if "SUDO_UID" in os.environ and os.geteuid() == 0:
    # With sudo, no process of the lab may leave root's compiled modules in the invoking user's checkout.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
