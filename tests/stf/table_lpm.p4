// The longest prefix wins, whatever the order of entries.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = { hdr.d.x : lpm; }
    actions = { set; NoAction; }
    default_action = NoAction;
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
