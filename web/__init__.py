"""See it: recorded runs, in a browser.

recording   the file of a run: events as JSON lines, compressed; writing, reading, checking
program     what a recording says of raft.p4: its text, tables, conditions, actions, fields
ways        the way of a packet through a switch, as short as it can be told
remembered  ways that were taken before, recognised quickly
server      a recording and the page over HTTP, on loopback
one_file    page and recording in one HTML file
page/       the page: plain ES modules and SVG
"""
