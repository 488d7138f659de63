// Assigning a header copies a variable field with its length.
#define OWN_TYPES
#include "types.p4"

header options_h {
  bit<8> length;
  varbit<32> data;
}

struct headers_t {
  options_h first;
  options_h second;
}

struct meta_t {
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.first, (bit<32>)(packet.lookahead<bit<8>>() ++ 3w0));
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.second = hdr.first;
    hdr.second.length = 0xFF;
  }
}

MAIN;
