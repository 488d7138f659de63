"""Benchmarks: ``python -m bench COMMAND``. consensus/ measures Raft, open/ latency over offered rates, reads/ reads,
switch/ switches; `plot` draws."""
