// Of the entries that match, the one with the highest priority wins.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = { hdr.d.a : ternary; }
    actions = { set; NoAction; }
    default_action = NoAction;
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
