"""The running lab. In reading order:

lab              Mininet, switches, controller and nodes, from start to stop
options          what it is asked for
supervisor       the process that owns it, with a `prompt` or detached
server           its socket: what changes a running lab comes through here
fabric, links, namespace, interface_alias
                 the network: hosts, switches, links and their cuts
switches, program
                 BMv2 or the embedded switch, and the P4 program compiled for it
configs          the files from which controller and nodes learn what the lab is
process, waiting processes by pid and start time, and waiting for what they do
record, stop     what was made, written down, and the end of exactly that, even after a crash
traces           what shows without the record that something is the lab's
running_lab      the lab as commands see it from outside
membership       changing its groups' members
run_node         one node in the foreground
"""
