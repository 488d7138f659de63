// Indirect counters count packets and bytes by index.
#include "blocks.p4"

INGRESS {
  counter(4, CounterType.packets_and_bytes) both;
  apply {
    sm.egress_spec = 2;
    both.count((bit<32>)hdr.d.a);
  }
}

MAIN;
