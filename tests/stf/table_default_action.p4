// The default action of the program, and one that is set at run time.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  action other(bit<16> v) {
    hdr.d.x = v;
  }
  table t {
    key = { hdr.d.a : exact; }
    actions = { set; }
    default_action = set(0x42);
  }
  table u {
    key = { hdr.d.a : exact; }
    actions = { other; }
    default_action = other(1);
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
    u.apply();
  }
}

MAIN;
