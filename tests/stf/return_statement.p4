// return ends a control, an action or a function only.
#include "blocks.p4"

bit<8> least(in bit<8> v, in bit<8> w) {
  if (v < w) {
    return v;
  }
  return w;
}

INGRESS {
  action change(in bit<8> v) {
    if (v == 0) {
      return;
    }
    hdr.d.r = 0x10;
  }
  apply {
    sm.egress_spec = 2;
    hdr.d.r = 0;
    change(hdr.d.a);
    hdr.d.r = hdr.d.r + least(hdr.d.a, hdr.d.b);
    if (hdr.d.op == 1) {
      return;
    }
    hdr.d.x = 1;
  }
}

MAIN;
