"""A node's datagrams.

transport     what comes in is checked and counted, what goes out is cut and paced
udp           the socket: many datagrams with one system call
fragments     messages larger than a datagram, the sender's side; `reassembly` is the receiver's
fanout        large messages that the network copies to everybody
path          how large datagrams may be; `congestion`: how many may be on their way
batches       several small requests or replies in one datagram
gathered      acknowledgements of several members in one datagram
peers         what members are sent: at once, in fragments, or once for the network to copy
replies       what clients are sent; `validation` says which addresses surely receive it
seal          proof that a datagram comes from a member
"""
