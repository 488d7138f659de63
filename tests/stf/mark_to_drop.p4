// A packet marked in ingress is gone, unless it gets a port later.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.a == 1 || hdr.d.a == 2) {
      mark_to_drop(sm);
    }
    if (hdr.d.a == 2) {
      sm.egress_spec = 2;
    }
  }
}

MAIN;
