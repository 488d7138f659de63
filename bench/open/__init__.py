"""An open loop: requests begin at their times, whatever the answers do, and latency counts from there.

curve      the command: latency over offered rates, the knee, and the recovery from too much
report     what is told of it: knee and recovery, tables, bars
load       the client process
sessions   its sessions and sockets
schedule   when which request is due, and what became of it, without a clock
samples    the figures of a stretch, and their histograms
"""
