"""``python -m scripts.against_bmv2`` has another name now."""

import sys

sys.exit("scripts.against_bmv2 is now `python -m conformance bmv2`, with the same arguments")
