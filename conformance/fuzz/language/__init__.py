"""Random P4 programs, compiled and run on packets, against an interpreter of the P4_16 specification.

  tree         a program as data: what the generator makes, the printer shows and the interpreter runs
  generate     random programs: `program(seed)`; expressions, statements and parsers in modules of their own
  show         a tree as P4 text, and several programs as one source that takes them by a packet's first byte
  interpret    the specification's meaning of a tree, on values of `values`; it shares no code with p4compiler
  compare      packets through compiled programs and through the interpreter
  reduce       the smallest program that still differs

Where the specification leaves a value undefined, the interpreter says so, and the packet is not compared.
"""
