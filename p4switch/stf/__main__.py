"""``python -m p4switch.stf``: see `p4switch.stf.runner`."""

import sys

from p4switch.stf.runner import main

if __name__ == "__main__":
    sys.exit(main())
