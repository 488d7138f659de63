// A checksum over fields and all that was not parsed.
#define OWN_UPDATE
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

UPDATE {
  apply {
    update_checksum_with_payload(true, { hdr.d.a, hdr.d.b, hdr.d.x }, hdr.d.y, HashAlgorithm.csum16);
  }
}

MAIN;
