// A header that is made valid is sent, one that is made invalid is not.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  byte_h first;
  byte_h second;
}

struct meta_t {
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.first);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.first.v == 1) {
      hdr.second.setValid();
      hdr.second.v = 0xAA;
    } else if (hdr.first.v == 2) {
      hdr.first.setInvalid();
    }
    if (hdr.second.isValid() && !hdr.first.isValid()) {
      hdr.second.v = 0;
    }
  }
}

MAIN;
