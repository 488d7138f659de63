// in copies in, out copies out, inout both; a copy comes back at the end only.
#include "blocks.p4"

void blend(in bit<8> i, inout bit<8> io, out bit<8> o) {
  io = io + i;
  o = io + 5;
}

void same(in bit<16> before, inout bit<16> now) {
  now = now + 1;
  if (before == now) {
    now = 0;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    blend(hdr.d.a, hdr.d.b, hdr.d.r);
    same(hdr.d.x, hdr.d.x);
  }
}

MAIN;
