"""What runs on the hosts.

raft/      the Raft core; sans-IO, standard library only
storage/   the durable log and snapshots
service/   the replicated state machine, sessions, reads
group      one Raft group on a node: core, state machine, waiting clients
node       one process for all groups of a member: ``python -m hosts.node``
net/       its datagrams
control/   its control socket
client/    the client library
wire       the wire format; `scapy_layer` is the same for Scapy
clock      by which members count time
measures   how long commits' stages, syncs and round trips take, for the metrics
config     cluster.yaml; files/ reads it, `addresses` are where members live
"""
