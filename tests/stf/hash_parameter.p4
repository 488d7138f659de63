// The bound of a hash may be an action's parameter of another width.
#include "blocks.p4"

INGRESS {
  action pick(bit<8> bound) {
    hash(hdr.d.r, HashAlgorithm.identity, 8w0x20, { hdr.d.a }, (bit<32>)bound);
  }
  table t {
    key = { hdr.d.b : exact; }
    actions = { pick; NoAction; }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
