"""P4Info of a program: what the control plane is told about it.

writer                the message itself
types                 structs, headers, enums and translated types in it
annotations           ids, documentation and other annotations in it
names                 names and ids that the control plane sees
control_plane_names   that these are unique
"""
