// Which element is meant shows only at run time.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  data_h d;
  byte_h[4] s;
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
    packet.extract(hdr.s.next);
    packet.extract(hdr.s.next);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = hdr.s[hdr.d.a].v;
    hdr.s[hdr.d.b].v = 0xFF;
  }
}

MAIN;
