"""The middle layer: a program with everything instantiated, inlined and typed, but still target-neutral.

nodes     what it is made of
fold      makes its expressions, folding constants
effects   what statements write and expressions read
tidy      takes out what never runs
parts     the parts of values: elements, fields, scalars
unique    names of which no two are the same
"""
