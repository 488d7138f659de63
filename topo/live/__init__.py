"""The living lab as a recording that goes on, and its page.

In the process that owns the lab, as root:
sampling    which of the packets at switches' ports are looked at: a share of the exchanges, chosen in the kernel
frames      those packets, for one who asks on the lab's socket
feed        what was done to the lab by hand and what has become of its processes, for one who asks

In `switchraft web`, as the user who called sudo:
asking      a control socket, asked again and again over one connection
members     what members show, as events
switches    what switches hold, as events
messages    packets at ports, as messages on their way
kept        what something was, as it was read from time to time
opened      what the switches' programs have done to a packet that is opened
faults      what is broken by hand, and what the cluster has found out
decisions   what the controller writes down, as it does
timeline    what all of these tell in the order of time, in a window of ten minutes
watching    one lab, from its start to its end: who is asked how often
recorder    lab after lab
hands       what may be done from the page: commands of `switchraft`, parsed by their own parser
server      page, stream and commands over HTTP on loopback
meeting     the socket by which `switchraft web` finds a page that is served already
command     `switchraft web`
"""
