// lastIndex counts the elements that were extracted.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  byte_h[3] s;
}

struct meta_t {
  bit<8> m;
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.s.next);
    meta.m = (bit<8>)hdr.s.lastIndex;
    transition select(hdr.s.last.v[7:7]) {
      1: accept;
      default: start;
    }
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.s[0].v = meta.m;
  }
}

MAIN;
