"""Fuzzers of language, compiler, JSON loader, P4Runtime server and data plane: `python -m conformance fuzz -h`."""
