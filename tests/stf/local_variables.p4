// Variables of a control and of a block; each packet starts afresh.
#include "blocks.p4"

INGRESS {
  bit<8> total = 0x10;
  apply {
    sm.egress_spec = 2;
    bit<8> v = hdr.d.a;
    {
      bit<8> inner = v + 1;
      total = total + inner;
    }
    hdr.d.r = total;
  }
}

MAIN;
