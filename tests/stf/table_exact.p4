// An exact key; what is not in the table takes the default.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = { hdr.d.a : exact; }
    actions = { set; NoAction; }
    default_action = NoAction;
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
