// Variables and arithmetic in parser states.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  bit<8> sum = 0;
  state start {
    packet.extract(hdr.d);
    sum = hdr.d.a + hdr.d.b;
    transition twice;
  }
  state twice {
    meta.m = sum << 1;
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = meta.m;
  }
}

MAIN;
