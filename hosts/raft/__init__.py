"""The sans-IO Raft core: no clock, socket, thread or global random; standard library only. In reading order:

core                      step, tick, ready, advance: roles, terms, elections
message, ready            what it takes and what it asks for; `validity`: what a message must look like
election, quorum          ballots and majorities; `patience`: how long a silent leader is waited for
log                       the log in memory
following, leadership     what a follower, and what a leader does; `replication`, `progress`: entries on their way
fanout                    whom the network's copies of entries reach
fastest                   whose acknowledgements a leader waits for, and who may merge its own
gathering                 when the network may gather acknowledgements
reads                     linearizable reads without a log entry, at the leader and at others
configuration, change     who the members are, and one change of that; `identities`: whose log answers
snapshot                  the state machine in place of the log
outbox, config, errors    `frozen`: how messages are made fast
"""
