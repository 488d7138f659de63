"""Against what others built: runs that are too long, or need too much from elsewhere, for `make test`.

``python -m conformance`` with one of these:

  corpus      p4c's own test programs
  bmv2        the real p4c and BMv2 beside this compiler and switch
  exercises   the exercises of p4lang/tutorials
  ptf         p4-guide's packet tests
  fuzz        fuzzers; `language`: one of them alone, programs against an interpreter of the specification
"""
