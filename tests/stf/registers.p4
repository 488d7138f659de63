// What one packet writes the next one reads; zero at first.
#include "blocks.p4"

INGRESS {
  register<bit<8>>(8) cells;
  apply {
    sm.egress_spec = 2;
    cells.read(hdr.d.r, (bit<32>)hdr.d.a);
    cells.write((bit<32>)hdr.d.a, hdr.d.b);
  }
}

MAIN;
