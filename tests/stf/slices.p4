// [high:low] of a field and of an expression.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.a = hdr.d.x[15:8];
    hdr.d.b = hdr.d.x[11:4];
    hdr.d.r = 7w0 ++ (hdr.d.x + hdr.d.y)[0:0];
  }
}

MAIN;
