// An inner name hides an outer one; a dot means the outermost.
#include "blocks.p4"

const bit<8> LIMIT = 1;

INGRESS {
  const bit<8> LIMIT = 2;
  apply {
    sm.egress_spec = 2;
    bit<8> v = LIMIT;
    hdr.d.r = .LIMIT;
    hdr.d.a = .LIMIT;
    hdr.d.b = v;
  }
}

MAIN;
