// Arguments by name, in any order.
#include "blocks.p4"

INGRESS {
  action difference(in bit<8> v, in bit<8> w, out bit<8> result) {
    result = v - w;
  }
  apply {
    sm.egress_spec = 2;
    difference(w = hdr.d.b, v = hdr.d.a, result = hdr.d.r);
  }
}

MAIN;
