"""Benchmarks: ``python -m bench COMMAND``. consensus/ measures Raft, reads/ reads, switch/ switches; `plot` draws."""
