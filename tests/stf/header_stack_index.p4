// Elements of a stack by constant index, and one copied to another.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  byte_h[3] s;
}

struct meta_t {
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.s.next);
    packet.extract(hdr.s.next);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.s[2] = hdr.s[0];
    hdr.s[0].v = hdr.s[1].v + 1;
    hdr.s[1].setInvalid();
  }
}

MAIN;
