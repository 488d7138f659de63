// A digest goes to the control plane; the packet goes on.
#include "blocks.p4"

struct seen_t {
  bit<8> a;
  bit<8> b;
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    digest<seen_t>(1, { hdr.d.a, hdr.d.b });
    hdr.d.r = 9;
  }
}

MAIN;
