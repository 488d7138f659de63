// A direct counter belongs to a table and changes nothing in the packet.
#include "blocks.p4"

INGRESS {
  direct_counter(CounterType.packets) hits;
  action set(bit<8> v) {
    hdr.d.r = v;
    hits.count();
  }
  table t {
    key = { hdr.d.a : exact; }
    actions = { set; NoAction; }
    counters = hits;
    const entries = { 1 : set(1); }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
  }
}

MAIN;
