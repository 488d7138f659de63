"""What the `switchraft` command shows, a module for each command.

status, log, counters, features, effects, limits
            what nodes, switches and the controller hold, and what features have done
capture, pcap, taps, ring, trace, ping, exec
            packets on an interface, and in a file; a packet's way through a switch, reachability, a command on a host
client_requests, destination
            put, get and the like: the request, and from where and to whom it goes
metrics     for Prometheus
output      printing for people and programs
"""
