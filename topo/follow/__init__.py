"""`switchraft follow`: a packet's whole way through the lab.

filters     which packets are waited for: the words of --wait
shadow      a copy of each switch in this process: the frames that came into it, traced on the entries that it holds
journeys    frames at the switches' ports, put together to ways. Pure
story       which packets belong to a client's call, and what each of them is for. Pure
disks       what members say of an entry and of their disks
told        ways as text and as JSON. Pure
recorded    ways as a recording
watch       the lab's ports and its switches' tables, as they are watched
asking      a client's call, made from a host of the lab
called, waited
            a call and what it leads to; packets that are waited for
"""
