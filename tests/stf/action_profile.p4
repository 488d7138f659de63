// A table with an action profile misses until the control plane fills both.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = { hdr.d.a : exact; }
    actions = { set; NoAction; }
    @name("profile")
    implementation = action_profile(16);
  }
  apply {
    sm.egress_spec = 2;
    if (t.apply().miss) {
      hdr.d.r = 0x77;
    }
  }
}

MAIN;
