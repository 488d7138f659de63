// Macros with arguments, conditions, an undefined name.
#include "blocks.p4"

#define LEVEL 2
#define TIMES(v, n) ((v) * (n))

INGRESS {
  apply {
    sm.egress_spec = 2;
    #if defined(LEVEL) && LEVEL >= 2
    hdr.d.r = TIMES(hdr.d.a, 3);
    #else
    hdr.d.r = 0;
    #endif
    #ifndef MISSING
    hdr.d.b = 1;
    #endif
  }
}

MAIN;
