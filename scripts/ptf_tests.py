"""``python -m scripts.ptf_tests`` has another name now."""

import sys

sys.exit("scripts.ptf_tests is now `python -m conformance ptf`, with the same arguments")
