// An action called by name: directed parameters and a plain one.
#include "blocks.p4"

INGRESS {
  action set(out bit<8> field, bit<8> v) {
    field = v;
  }
  action add(in bit<8> v, inout bit<8> sum) {
    sum = sum + v;
  }
  apply {
    sm.egress_spec = 2;
    set(hdr.d.a, 5);
    add(hdr.d.b, hdr.d.r);
  }
}

MAIN;
