"""Fuzzing of language, compiler, JSON loader, P4Runtime server and data plane; see `python -m scripts.fuzz -h`."""
