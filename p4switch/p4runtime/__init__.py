"""P4Runtime around a pipeline. These modules, and no others of p4switch, import grpc. In reading order:

server         the service on grpc.aio: requests in, statuses out
device         one switch behind it: configs, clients, notifications
arbitration, roles
               who may write, and what
forwarding     a pushed config: its schema and every entity; `fit` judges P4Info and program, `p4info` looks things up
tables, matches, profiles, arrays, replication, packetio, digests, resources
               one kind of entity each
values, errors
               byte strings and P4Data; how errors travel
reconcile      what clients wrote, carried into a new pipeline
watching       live traces: a call beside P4Runtime
"""
