// A checksum that is computed on the way out, under a condition.
#define OWN_UPDATE
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

UPDATE {
  apply {
    update_checksum(hdr.d.op == 0, { hdr.d.a, hdr.d.b, hdr.d.x }, hdr.d.y, HashAlgorithm.csum16);
  }
}

MAIN;
