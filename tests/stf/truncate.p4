// Only the first bytes are sent.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.a == 1) {
      truncate(3);
    }
  }
}

MAIN;
