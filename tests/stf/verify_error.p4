// verify ends the parser with an error of the program's own.
#define OWN_PARSER
#include "blocks.p4"

error {
  NotFive
}

PARSER {
  state start {
    packet.extract(hdr.d);
    verify(hdr.d.a == 5, error.NotFive);
    meta.m = 1;
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = meta.m;
    if (sm.parser_error == error.NotFive) {
      hdr.d.r = 0xEE;
    }
  }
}

MAIN;
