// transition reject: the parser stops, ingress still runs.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    transition select(hdr.d.a) {
      9: reject;
      default: more;
    }
  }
  state more {
    meta.m = 7;
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
