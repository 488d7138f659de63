// Constant entries in their order, with masks and don't care.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = {
      hdr.d.a : exact;
      hdr.d.b : ternary;
    }
    actions = { set; NoAction; }
    const entries = {
      (1, 0x00 &&& 0xF0) : set(1);
      (1, _) : set(2);
      (2, 0x17) : set(3);
    }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
