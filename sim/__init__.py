"""A deterministic simulator: the nodes' code, the compiled raft.p4, the controller's decisions, one seed."""
