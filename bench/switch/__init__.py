"""Switches side by side.

comparison   `python -m bench switch`
devices      what is compared, between two veth pairs
measure, updates
             round trips and rates; table updates while packets flow
workload     programs, entries and frames; `runtime` writes the entries over P4Runtime
results, report
             what was measured, and tables of it
"""
