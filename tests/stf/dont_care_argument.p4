// _ for an out argument that nobody wants.
#include "blocks.p4"

void split(in bit<16> v, out bit<8> high, out bit<8> low) {
  high = v[15:8];
  low = v[7:0];
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    split(hdr.d.x, hdr.d.a, _);
    split(hdr.d.y, _, hdr.d.b);
  }
}

MAIN;
