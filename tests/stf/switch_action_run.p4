// switch on which action a table ran.
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
  apply {
    sm.egress_spec = 2;
    switch (t.apply().action_run) {
      one: { hdr.d.x = 0x1111; }
      two:
      three: { hdr.d.x = 0x2222; }
    }
  }
}

MAIN;
