// A control applied from another, twice, with a variable of its own.
#include "blocks.p4"

control at_most(inout bit<8> v, in bit<8> limit) {
  apply {
    if (v > limit) {
      v = limit;
    }
  }
}

INGRESS {
  at_most() clamp;
  apply {
    sm.egress_spec = 2;
    clamp.apply(hdr.d.a, 0x10);
    clamp.apply(hdr.d.b, 0x20);
  }
}

MAIN;
