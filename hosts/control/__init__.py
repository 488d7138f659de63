"""What people on the same machine ask a node.

socket            JSON lines over a unix socket
views             a group's contents
member_commands   who the members are, and changes of that
losses            members that have lost their data, in words
"""
