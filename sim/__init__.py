"""A deterministic simulator: the nodes' code, the compiled raft.p4, the controller's decisions, one seed.

run                   many seeds; ``python -m sim``
plan                  what a seed decides before anything runs
world                 one seed: everything put together, run, and judged
scene                 what all its parts share
node, disk            a member, around the node's own objects; its disk in memory
client, workload      clients around the client's own protocol, and what they ask
control, control_plane
                      controllers around the controller's own decisions, and which one rules
network, fabric, frames
                      datagrams, and switches with the compiled program; `gathered`: what these carry for members
faults/               what befalls the cluster
invariants, checks/, violation
                      what must hold after every step
events, trace         simulated time, and what happened
observer, recorder, last_seen
                      whoever looks on; a run as a recording, which a browser shows
mutants, mutant_list  break the code, and see who notices
"""
