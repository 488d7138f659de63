// A field whose length is in the packet.
#define OWN_TYPES
#include "types.p4"

header options_h {
  bit<8> length;
  varbit<64> data;
}

header after_h {
  bit<8> v;
}

struct headers_t {
  options_h options;
  after_h after;
}

struct meta_t {
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  bit<8> length;
  state start {
    length = packet.lookahead<bit<8>>();
    packet.extract(hdr.options, (bit<32>)length * 8);
    packet.extract(hdr.after);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.after.v = hdr.after.v + hdr.options.length;
  }
}

MAIN;
