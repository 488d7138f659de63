// Exact keys beside a prefix; all must match.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = {
      hdr.d.a : exact;
      hdr.d.x : lpm;
    }
    actions = { set; NoAction; }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
