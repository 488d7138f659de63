// The right side of && and || runs only where it decides.
#include "blocks.p4"

bool count(inout bit<8> calls, in bool result) {
  calls = calls + 1;
  return result;
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = 0;
    bool first = hdr.d.a == 1;
    if (hdr.d.op == 1) {
      if (first && count(hdr.d.r, true)) {
        hdr.d.b = 1;
      }
    } else {
      if (first || count(hdr.d.r, false)) {
        hdr.d.b = 1;
      }
    }
  }
}

MAIN;
