"""What Raft costs and gives: commits, fail-over, catching up, large values, recovery; beside other systems.

commit, accel, failover, catchup, bulk, lossy, limit, recovery, metrics, core
           one benchmark each
loopback   a cluster of node processes without a lab
path, proxy, proxied_node
           paths between such processes that lose, delay and reorder
systems    what is compared, with `etcd`, `pysyncobj`; `grounds` and `loopback` say where they run
load, etcd_load, pulse, pysyncobj_node
           processes that put load on them
pairs      rates while somebody watches and while nobody does
window     what a load measures
"""
