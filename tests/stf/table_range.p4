// Keys between two numbers, both included.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = { hdr.d.a : range; }
    actions = { set; NoAction; }
    default_action = NoAction;
    const entries = {
      0x10 .. 0x1F : set(1);
      0x18 .. 0x40 : set(2);
    }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
