"""``python -m p4switch.trace``: see `p4switch.trace.command`."""

import sys

from p4switch.trace.command import main

if __name__ == "__main__":
    sys.exit(main())
