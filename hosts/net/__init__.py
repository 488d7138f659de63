"""A node's datagrams.

transport     what comes in is checked and counted, what goes out is cut and paced
udp           the socket: many datagrams with one system call
fragments     messages larger than a datagram, the sender's side; `reassembly` is the receiver's
path          how large datagrams may be; `congestion`: how many may be on their way
batches       several small requests or replies in one datagram
replies       what clients are sent; `validation` says which addresses surely receive it
seal          proof that a datagram comes from a member
"""
