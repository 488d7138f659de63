// switch on a value: labels that share a block, a default.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    switch (hdr.d.a) {
      1:
      2: { hdr.d.r = 0x12; }
      3: { hdr.d.r = 0x33; }
      default: { hdr.d.r = 0xFF; }
    }
  }
}

MAIN;
