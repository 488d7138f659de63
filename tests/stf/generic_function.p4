// A function for any type, its argument inferred or written.
#include "blocks.p4"

T choose<T>(in bool first, in T one, in T other) {
  if (first) {
    return one;
  }
  return other;
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.a = choose(hdr.d.op == 0, hdr.d.a, hdr.d.b);
    hdr.d.x = choose<bit<16>>(hdr.d.op == 1, hdr.d.x, hdr.d.y);
  }
}

MAIN;
