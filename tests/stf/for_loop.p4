// A loop with a constant bound, break and continue.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    bit<8> sum = 0;
    for (bit<8> i = 0; i < 8; i = i + 1) {
      if (i == hdr.d.a) {
        continue;
      }
      if (i == hdr.d.b) {
        break;
      }
      sum = sum + i;
    }
    hdr.d.r = sum;
  }
}

MAIN;
