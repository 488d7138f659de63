"""The sans-IO Raft core: no clock, socket, thread or global random; standard library only."""
