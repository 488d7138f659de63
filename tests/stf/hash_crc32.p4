// hash with crc32 over two bytes.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    bit<32> value;
    hash(value, HashAlgorithm.crc32, 32w0, { hdr.d.a, hdr.d.b }, 33w0x100000000);
    hdr.d.x = value[31:16];
    hdr.d.y = value[15:0];
  }
}

MAIN;
