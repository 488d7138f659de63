// A parser inside a parser, with a result.
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

parser one_byte(packet_in packet, out byte_h h, out bit<8> v) {
  state start {
    packet.extract(h);
    v = h.v;
    transition accept;
  }
}

#define OWN_PARSER
#include "blocks.p4"

PARSER {
  one_byte() inner;
  state start {
    packet.extract(hdr.d);
    inner.apply(packet, hdr.s, meta.m);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = meta.m;
  }
}

MAIN;
