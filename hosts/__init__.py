"""What runs on the hosts: the Raft core, wire format, durable log, node and client."""
