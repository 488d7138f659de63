// select with masked values; the first that fits is taken.
#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    transition select(hdr.d.a) {
      0x10 &&& 0xF0: one;
      0x02 &&& 0x0F: two;
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
