"""The P4Runtime controller. In reading order:

network                 what it is told: switches, hosts, links, groups, the program
decisions               what it knows, and what follows from that; sans-IO, also what the simulator runs
leaders, members, links, routes, trees, gathering
                        parts of that knowledge; pure
limits                  operators' wishes for how much clients may ask
hints                   what it sends to members' hosts itself: hints that a leader has ended, and echo requests
desired                 what switches' tables and multicast groups ought to hold, and the writes that make them; pure
selectors               what entries leave switches to choose from, beside these
controller, session     the clock, and a task for each switch, around `decisions`
primacy                 its place among several controllers at one switch
client, program         the connection to a switch, and the compiled program as P4Runtime wants it
tasks                   waiting for a limited time
control_socket          what people ask it; `reads` and `readers` answer without it, `names` and `log` are for people
"""
