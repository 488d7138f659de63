// A hash lies between its base and base + max.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hash(hdr.d.r, HashAlgorithm.identity, 8w0x10, { hdr.d.a, hdr.d.b }, 8w8);
  }
}

MAIN;
