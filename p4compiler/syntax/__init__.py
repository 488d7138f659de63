"""From text to the syntax tree. In the order of a source's way:

preprocessor   includes, macros and conditional sections, on tokens; `conditions` evaluates #if
lexer          text to tokens; `long_strings` joins those that cpp leaves in pieces
parser         declarations; below it `statements`, below that `expressions` with types and annotations
tree           what comes out: immutable nodes
"""
