// push_front moves elements up and leaves invalid ones at the front; pop_front does the reverse.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  data_h d;
  byte_h[3] s;
}

struct meta_t {
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.d);
    packet.extract(hdr.s.next);
    packet.extract(hdr.s.next);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.s.push_front(1);
      hdr.s[0].setValid();
      hdr.s[0].v = 0xAA;
    } else if (hdr.d.op == 2) {
      hdr.s.push_front(2);
    } else if (hdr.d.op == 3) {
      hdr.s.pop_front(1);
    }
  }
}

MAIN;
