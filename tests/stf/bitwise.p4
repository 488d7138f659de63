// And, or, exclusive or, complement.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.x = (hdr.d.a & hdr.d.b) ++ (hdr.d.a | hdr.d.b);
    hdr.d.y = (hdr.d.a ^ hdr.d.b) ++ ~hdr.d.a;
  }
}

MAIN;
