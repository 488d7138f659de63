// No case fits: the parser ends, ingress runs.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    transition select(hdr.d.a) {
      1: one;
      2: two;
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
    hdr.d.r = meta.m;
  }
}

MAIN;
