// A wrong checksum sets checksum_error and drops nothing.
#define OWN_VERIFY
#include "blocks.p4"

VERIFY {
  apply {
    verify_checksum(true, { hdr.d.a, hdr.d.b, hdr.d.x }, hdr.d.y, HashAlgorithm.csum16);
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = 7w0 ++ sm.checksum_error;
  }
}

MAIN;
