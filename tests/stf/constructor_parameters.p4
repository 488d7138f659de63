// Two instances of a control, each with its own constant and table.
#include "blocks.p4"

control adder(inout headers_t hdr, in bit<8> which)(bit<8> step) {
  action bump() {
    hdr.d.r = hdr.d.r + step;
  }
  table t {
    key = { which : exact @name("k"); }
    actions = { bump; NoAction; }
    default_action = NoAction;
  }
  apply {
    t.apply();
  }
}

INGRESS {
  adder(0x05) low;
  adder(0xA0) high;
  apply {
    sm.egress_spec = 2;
    low.apply(hdr, hdr.d.a);
    high.apply(hdr, hdr.d.b);
  }
}

MAIN;
