// Two headers are equal if both are invalid, or both valid with equal fields.
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
}

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.x = hdr.s == hdr.t ? 16w1 : 0;
    hdr.s.setValid();
    hdr.s.v = hdr.d.a;
    hdr.d.y = hdr.s == hdr.t ? 16w1 : 0;
    hdr.t.setValid();
    hdr.t.v = hdr.d.b;
    hdr.d.r = hdr.s == hdr.t ? 8w1 : 0;
  }
}

MAIN;
