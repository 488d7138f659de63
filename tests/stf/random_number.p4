// random between two equal bounds.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    random(hdr.d.r, 8w5, 8w5);
  }
}

MAIN;
