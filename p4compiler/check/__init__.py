"""Names and types of a whole program: what is wrong is said here, with its place. Later passes trust the result.

checker        the walk over all declarations; it stands on the layers below
parsers, tables, entries, statements, calls, instances, expressions, operators
               a part of the language each
types          the lowest layer: types as written to types, what fits where, inference
type_rules, core_rules, places, priorities
               rules of the specification as tables and small functions
scope, constants, compile_time
               names in sight, values known before anything is instantiated, and what counts as known
facts          what all of it leaves behind: side tables from tree nodes to types, declarations and calls
"""
