"""What befalls the cluster.

nemesis   faults of members, disks, network, switches and controller, as the plan has drawn them
wiping    a member's folder is deleted, and an operator mends that
false_word  forged ICMP and hints: that nobody is at a leader's address, or that it has ended
false_gathering
          forged and changed acknowledgements of several members in one packet
hostile   garbage and forged messages
forger    requests under another one's address, so that the answers hit that one
"""
