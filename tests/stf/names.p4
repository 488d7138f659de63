// @name changes what the control plane calls a table, an action and a key.
#include "blocks.p4"

INGRESS {
  @name("put")
  action set(@name("value") bit<8> v) {
    hdr.d.r = v;
  }
  @name("table_of_bytes")
  table t {
    key = { hdr.d.a : exact @name("first_byte"); }
    actions = { set; NoAction; }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
