// Tuples are made from lists, compared, and read by index.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    tuple<bit<8>, bit<8>> pair = { hdr.d.a, hdr.d.b };
    tuple<bit<8>, bit<8>> same = { 1, 2 };
    if (pair == same) {
      hdr.d.r = 0xEE;
    } else {
      hdr.d.r = pair[0] + pair[1];
    }
  }
}

MAIN;
