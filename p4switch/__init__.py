"""A v1model switch. Knows nothing of Raft. From a program to packets:

program, program_json   the BMv2 JSON as typed values, and reading it
errors                  what can be wrong with a program, its build, or a request
codegen/, runtime/      the program as C, and the C that is the same for all programs
pipeline/               a loaded program: entries in, packets through `step`
p4runtime/              the server around it
options, run            ``python -m p4switch``, with simple_switch_grpc's flags
modules                 how to start these, whatever the current folder holds
stf/, trace/            packet tests without a network; a packet's way through a program
"""
