"""What reads cost, and who serves them.

compare   reads spread by the switches, beside reads at the leader
steering  a client that asks a follower's address, with switches that steer it and without
load      the client of the first
firsts    the client of the second
"""
