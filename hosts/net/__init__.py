"""A node's datagrams.

transport     the UDP socket: what comes in is checked and counted, what goes out is cut and paced
fragments     messages larger than a datagram, the sender's side; `reassembly` is the receiver's
batches       several small requests or replies in one datagram
replies       what clients are sent; `validation` says which addresses surely receive it
seal          proof that a datagram comes from a member
"""
