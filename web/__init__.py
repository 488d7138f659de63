"""See it: recorded runs, in a browser.

recording   the file of a run: events as JSON lines, compressed; writing, reading, checking
network     what a recording says of switches, hosts, links and groups
program     what a recording says of raft.p4: its text, tables, conditions, actions, fields
ways        the way of a packet through a switch, as short as it can be told
remembered  ways that were taken before, recognised quickly
window      the last minutes of a run that goes on, in memory
access      who may see and change a running lab: codes, sessions, hosts, origins
server      a recording and the page over HTTP, on loopback
one_file    page and recording in one HTML file
page/       the page: plain ES modules and SVG
"""
