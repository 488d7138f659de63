"""What befalls the cluster.

nemesis   when what the plan has drawn begins, and when it ends
targets   whom it befalls
machines, changes, paths, switches
          the kinds: of members' machines and disks, of leadership and members, of the network between hosts, of
          switches and controller
wiping    a member's folder is deleted, and an operator mends that
false_word  forged ICMP and hints: that nobody is at a leader's address, or that it has ended
false_gathering
          forged and changed acknowledgements of several members in one packet
hostile   garbage and forged messages
forger    requests under another one's address, so that the answers hit that one
"""
