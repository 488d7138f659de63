"""P4_16 (v1model) source to BMv2 JSON and P4Info. Knows nothing of Raft. A program's way:

  source       texts, positions in them, and the diagnostics that point at a position
  syntax/      text to tree
  check/       names and types
  elaborate/   instances and inlining, to the middle layer in ir/
  p4info/      what the control plane is told
  bmv2/        BMv2 JSON
  wireshark/   a dissector, from that JSON's parser
  compile      all of it in a row
  options      ``python -m p4compiler PROG.p4 -o OUTDIR``, with p4c-bm2-ss's flags

``types`` and ``arithmetic`` serve all passes.
"""
