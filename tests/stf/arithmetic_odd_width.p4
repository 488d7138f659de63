// Fields that are no whole bytes: five and eleven bits, each modulo its own width.
#define OWN_TYPES
#include "types.p4"

header odd_h {
  bit<5> a;
  bit<11> b;
}

struct headers_t {
  odd_h d;
}

struct meta_t {
}

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.a = hdr.d.a + 1;
    hdr.d.b = hdr.d.b - 1;
  }
}

MAIN;
