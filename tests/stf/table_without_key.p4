// A table without a key runs its default action.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    actions = { set; }
    default_action = set(7);
  }
  apply {
    sm.egress_spec = 2;
    if (!t.apply().hit) {
      hdr.d.x = 1;
    }
  }
}

MAIN;
