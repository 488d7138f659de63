// Assigning a header copies its fields and whether it is valid.
#define OWN_TYPES
#include "types.p4"

header pair_h {
  bit<8> a;
  bit<8> b;
}

struct headers_t {
  pair_h first;
  pair_h second;
  pair_h third;
}

struct meta_t {
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.first);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.third = hdr.first;
    hdr.third.b = 0x33;
    if (hdr.first.a == 0) {
      hdr.first = hdr.second;
    }
    hdr.second = { 0x21, 0x22 };
  }
}

MAIN;
