// Keys that are computed, with a name for the control plane.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = {
      hdr.d.a + hdr.d.b : exact @name("sum");
      hdr.d.x & 0xF : exact @name("low");
    }
    actions = { set; NoAction; }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
