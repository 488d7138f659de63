// A table with an action selector: an entry leads to a group, and a hash over the packet chooses one of its members.
// Without an entry nothing is done: such a table has no default action.
#include "blocks.p4"

INGRESS {
  action set(bit<8> v) {
    hdr.d.r = v;
  }
  table t {
    key = {
      hdr.d.a : exact;
      hdr.d.b : selector;
    }
    actions = { set; NoAction; }
    @name("chosen")
    implementation = action_selector(HashAlgorithm.crc32, 16, 32w16);
  }
  apply {
    sm.egress_spec = 2;
    if (t.apply().miss) {
      hdr.d.r = 0x77;
    }
  }
}

MAIN;
