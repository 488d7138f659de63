// if, else if, else, nested.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.a < 10) {
      if (hdr.d.b == 0) {
        hdr.d.r = 1;
      }
    } else if (hdr.d.a < 20) {
      hdr.d.r = 2;
    } else {
      hdr.d.r = 3;
    }
  }
}

MAIN;
