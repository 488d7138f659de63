// A look at bits that are not taken yet.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    transition select(packet.lookahead<bit<4>>()) {
      0xA: one;
      default: two;
    }
  }
  state one {
    meta.m = 1;
    transition accept;
  }
  state two {
    meta.m = 2;
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = meta.m == 1 ? 8w0x0A : 8w0;
  }
}

MAIN;
