"""An open loop: requests begin at their times, whatever the answers do, and latency counts from there.

load       the client process
sessions   its sessions and sockets
schedule   when which request is due, and what became of it, without a clock
samples    the figures of a stretch, and their histograms
"""
