// A direct meter without a configuration is green.
#include "blocks.p4"

INGRESS {
  direct_meter<bit<8>>(MeterType.bytes) limit;
  action measure() {
    limit.read(meta.m);
  }
  table t {
    key = { hdr.d.a : exact; }
    actions = { measure; NoAction; }
    meters = limit;
    const entries = { 1 : measure(); }
  }
  apply {
    sm.egress_spec = 2;
    t.apply();
    hdr.d.r = meta.m;
  }
}

MAIN;
