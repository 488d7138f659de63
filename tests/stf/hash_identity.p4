// hash with identity over two bytes.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    bit<16> value;
    hash(value, HashAlgorithm.identity, 16w0, { hdr.d.a, hdr.d.b }, 32w0x10000);
    hdr.d.x = value;
  }
}

MAIN;
