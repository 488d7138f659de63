// All six, unsigned; one bit of the result each.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = 0;
    hdr.d.r[0:0] = (bit<1>)(hdr.d.a == hdr.d.b);
    hdr.d.r[1:1] = (bit<1>)(hdr.d.a != hdr.d.b);
    hdr.d.r[2:2] = (bit<1>)(hdr.d.a < hdr.d.b);
    hdr.d.r[3:3] = (bit<1>)(hdr.d.a <= hdr.d.b);
    hdr.d.r[4:4] = (bit<1>)(hdr.d.a > hdr.d.b);
    hdr.d.r[5:5] = (bit<1>)(hdr.d.a >= hdr.d.b);
  }
}

MAIN;
