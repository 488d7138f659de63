// recirculate: the deparsed packet enters the parser again.
#define OWN_EGRESS
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = hdr.d.r + 1;
  }
}

EGRESS {
  apply {
    if (hdr.d.r < 3) {
      recirculate_preserving_field_list(0);
    }
  }
}

MAIN;
