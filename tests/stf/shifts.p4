// Shifts by a field; beyond the width nothing is left, or the sign only.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.r = hdr.d.a << hdr.d.b;
    } else if (hdr.d.op == 2) {
      hdr.d.r = hdr.d.a >> hdr.d.b;
    } else {
      hdr.d.r = (bit<8>)((int<8>)hdr.d.a >> hdr.d.b);
    }
  }
}

MAIN;
