// A slice on the left side leaves the other bits alone.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.x[11:4] = hdr.d.a;
    hdr.d.y[15:15] = 1;
    hdr.d.y[3:0] = hdr.d.y[7:4];
  }
}

MAIN;
