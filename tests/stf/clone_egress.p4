// A clone from egress carries what egress made of the packet.
#define OWN_EGRESS
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = 0xAA;
  }
}

EGRESS {
  apply {
    if (sm.instance_type == 2) {
      hdr.d.b = 0xCC;
    } else {
      clone(CloneType.E2E, 9);
    }
  }
}

MAIN;
