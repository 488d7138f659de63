// select on two values, with don't care.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    transition select(hdr.d.a, hdr.d.b) {
      (1, 2): one;
      (1, _): two;
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
