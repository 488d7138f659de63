"""A Wireshark dissector, in Lua, out of a compiled program's parser.

lua           values as Lua text
expressions   a parser's expressions in Lua
states        its states, each a function in Lua
layout        headers, stacks and fields as Lua tables
hooks         where the dissector hangs: the first branch that Wireshark does not know
writer        the whole file, with numbers.lua, parse.lua and show.lua, which are the same for all programs
"""
