// Signed numbers: comparison, arithmetic shift, negation, overflow.
#define OWN_TYPES
#include "types.p4"

header signed_h {
  bit<8> op;
  int<8> a;
  int<8> b;
  int<8> r;
}

struct headers_t {
  signed_h d;
}

struct meta_t {
}

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.r = hdr.d.a < hdr.d.b ? 8s1 : 8s0;
    } else if (hdr.d.op == 2) {
      hdr.d.r = hdr.d.a >> 2;
    } else if (hdr.d.op == 3) {
      hdr.d.r = -hdr.d.a;
    } else {
      hdr.d.r = hdr.d.a + hdr.d.b;
    }
  }
}

MAIN;
