// A packet marked in egress is gone.
#define OWN_EGRESS
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

EGRESS {
  apply {
    if (hdr.d.a == 1) {
      mark_to_drop(sm);
    }
  }
}

MAIN;
