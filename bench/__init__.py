"""Benchmarks: ``python -m bench COMMAND``. consensus/ measures Raft, switch/ switches; `plot` draws."""
