// Unsigned arithmetic is modulo two to the width.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.r = hdr.d.a + hdr.d.b;
    } else if (hdr.d.op == 2) {
      hdr.d.r = hdr.d.a - hdr.d.b;
    } else if (hdr.d.op == 3) {
      hdr.d.r = hdr.d.a * hdr.d.b;
    } else {
      hdr.d.r = -hdr.d.a;
    }
  }
}

MAIN;
