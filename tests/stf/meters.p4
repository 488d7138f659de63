// A meter without rates is green; with a burst of one packet the next one is red.
#include "blocks.p4"

INGRESS {
  meter(2, MeterType.packets) limit;
  apply {
    sm.egress_spec = 2;
    limit.execute_meter((bit<32>)hdr.d.a, hdr.d.r);
  }
}

MAIN;
