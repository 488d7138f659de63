// ++ puts its left side into the high bits.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.x = hdr.d.a ++ hdr.d.b;
    hdr.d.y = 4w0xA ++ hdr.d.r[3:0] ++ 8w0xBC;
  }
}

MAIN;
