"""The durable log: what a member has promised survives a crash, a power loss and, if not, is noticed."""
