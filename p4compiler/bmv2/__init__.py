"""The middle layer as BMv2 JSON (behavioral-model, docs/JSON_format.md).

lower        the whole document
parsers, controls, tables, checksums
             a block each; `loops` makes a control's loops fit its graph
primitives   statements of an action; `externs`: v1model's functions and objects
expressions  expressions
output       the document under construction
"""
