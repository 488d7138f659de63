"""From the checked tree to the middle layer (`p4compiler.ir`): instantiated, inlined, in order.

program        what `main` names, and everything below it
statements, expressions, calls, tables
               each as middle-layer code; what has side effects is put before, in order
arguments      the calling convention: copy in, copy out
values         members, elements, defaults, conversions, comparison, assignment
storage        where values live, each under a unique name
"""
