// extract(_) skips a header.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  data_h d;
  byte_h s;
  byte_h t;
}

struct meta_t {
  bit<8> m;
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract<byte_h>(_);
    packet.extract(hdr.d);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

MAIN;
