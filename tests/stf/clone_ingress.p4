// A clone from ingress is the packet as it came in.
#define OWN_EGRESS
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    clone(CloneType.I2E, 9);
    hdr.d.r = 0xAA;
  }
}

EGRESS {
  apply {
    if (sm.instance_type == 1) {
      hdr.d.b = 0xCC;
    }
  }
}

MAIN;
