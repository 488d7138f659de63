// Widening, narrowing, sign extension, bit<1> and bool.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.x = (bit<16>)hdr.d.a;
      hdr.d.r = (bit<8>)hdr.d.y;
    } else if (hdr.d.op == 2) {
      hdr.d.x = (bit<16>)(int<16>)(int<8>)hdr.d.a;
    } else {
      bool odd = (bool)hdr.d.a[0:0];
      hdr.d.r = 7w0 ++ (bit<1>)(!odd);
    }
  }
}

MAIN;
