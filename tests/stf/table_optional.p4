// An optional key is given or left open.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = { hdr.d.a : optional; }
    actions = { set; NoAction; }
    default_action = NoAction;
    const entries = {
      5 : set(1);
      _ : set(2);
    }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
