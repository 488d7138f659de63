// A field of no bits: there, and always zero.
#define OWN_TYPES
#include "types.p4"

struct headers_t {
  data_h d;
}

struct meta_t {
  bit<8> before;
  bit<0> none;
  bit<8> after;
}

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    meta.before = 0x11;
    meta.after = 0x22;
    meta.none = (bit<0>)hdr.d.op;
    hdr.d.a = meta.before;
    hdr.d.b = meta.after;
    hdr.d.r = hdr.d.op ++ meta.none;
  }
}

MAIN;
