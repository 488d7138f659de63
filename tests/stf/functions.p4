// Functions that call functions; they have no side but their parameters.
#include "blocks.p4"

bit<8> twice(in bit<8> v) {
  return v + v;
}

bit<8> thrice(in bit<8> v) {
  bit<8> sum = twice(v);
  return sum + v;
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = thrice(hdr.d.a) + twice(1);
  }
}

MAIN;
