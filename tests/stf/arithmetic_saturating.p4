// |+| and |-| stop at the type's least and greatest number, unsigned and signed.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    int<8> a = (int<8>)hdr.d.a;
    int<8> b = (int<8>)hdr.d.b;
    if (hdr.d.op == 1) {
      hdr.d.r = hdr.d.a |+| hdr.d.b;
    } else if (hdr.d.op == 2) {
      hdr.d.r = hdr.d.a |-| hdr.d.b;
    } else if (hdr.d.op == 3) {
      hdr.d.r = (bit<8>)(a |+| b);
    } else {
      hdr.d.r = (bit<8>)(a |-| b);
    }
  }
}

MAIN;
