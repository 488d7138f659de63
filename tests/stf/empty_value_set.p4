// A parser value set matches nothing until the control plane fills it.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  value_set<bit<8>>(4) known;
  state start {
    packet.extract(hdr.d);
    transition select(hdr.d.a) {
      known: one;
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
    hdr.d.r = meta.m;
  }
}

MAIN;
