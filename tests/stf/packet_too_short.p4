// A header that does not fit is not extracted; ingress sees the error.
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
    packet.extract(hdr.d);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.s.setValid();
    hdr.s.v = sm.parser_error == error.PacketTooShort ? 8w7 : 8w0;
  }
}

MAIN;
