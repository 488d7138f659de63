"""A loaded program, without any P4Runtime: BMv2 JSON in, packets through `step`.

pipeline      the whole of it
native        its C built with the system's compiler, kept, and loaded
table_state, cells, copies
              tables and action profiles; counters, meters, registers, value sets; multicast groups and clone sessions
entities      what a control plane puts in and gets out
records       one step, and what it gives
encoding      between those and the 64-bit words of the C side
loop          the packet loop between network interfaces, a C thread
"""
