// condition ? this : that, nested.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = hdr.d.op == 0 ? 9w3 : 9w2;
    hdr.d.r = hdr.d.a > hdr.d.b ? hdr.d.a : (hdr.d.a == hdr.d.b ? 8w0 : hdr.d.b);
  }
}

MAIN;
