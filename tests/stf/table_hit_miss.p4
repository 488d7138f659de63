// A table's hit and miss as conditions.
#include "blocks.p4"

INGRESS {
  action one() { hdr.d.r = 1; }
  action two() { hdr.d.r = 2; }
  action three() { hdr.d.r = 3; }
  table t {
    key = { hdr.d.a : exact; }
    actions = { one; two; three; }
    const default_action = three;
    const entries = {
      1 : one();
      2 : two();
    }
  }
  table u {
    key = { hdr.d.b : exact; }
    actions = { NoAction; }
    const entries = { 2 : NoAction(); }
  }
  apply {
    sm.egress_spec = 2;
    if (t.apply().hit) {
      hdr.d.x = 1;
    } else {
      hdr.d.x = 2;
    }
    if (u.apply().miss) {
      hdr.d.y = 3;
    }
  }
}

MAIN;
