// select with ranges, both ends included.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    transition select(hdr.d.a) {
      0x10 .. 0x1F: one;
      0x20 .. 0x30: two;
      default: accept;
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
