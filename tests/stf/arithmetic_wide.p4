// Numbers of 128 bits: sum with carry, product, shift.
#define OWN_TYPES
#include "types.p4"

header wide_h {
  bit<8> op;
  bit<128> v;
}

struct headers_t {
  wide_h d;
}

struct meta_t {
}

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.v = hdr.d.v + 1;
    } else if (hdr.d.op == 2) {
      hdr.d.v = hdr.d.v << 68;
    } else if (hdr.d.op == 3) {
      hdr.d.v = hdr.d.v * 128w0x1_0000_0000_0000_0001;
    } else if (hdr.d.v > 128w1 << 100) {
      hdr.d.v = 0;
    }
  }
}

MAIN;
