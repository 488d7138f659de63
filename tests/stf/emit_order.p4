// The deparser decides what is sent, in which order.
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
#define OWN_DEPARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    packet.extract(hdr.s);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

DEPARSER {
  apply {
    packet.emit(hdr.t);
    packet.emit(hdr.s);
    packet.emit(hdr.d);
  }
}

MAIN;
