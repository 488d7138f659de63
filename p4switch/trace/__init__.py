"""What happens to a packet inside a program.

events    a build of the program that records its way, and what the records say
journey   the way in words
command   ``python -m p4switch.trace PROG.p4 --port 1 --hex 0011...``
"""
