// Whether a header is valid as a key.
#define OWN_TYPES
#include "types.p4"

header byte_h {
  bit<8> v;
}

struct headers_t {
  data_h d;
  byte_h s;
}

struct meta_t {
  bit<8> m;
}

#include "blocks.p4"

INGRESS {
  action note(bit<8> v) {
    meta.m = v;
  }
  table t {
    key = { hdr.d.isValid() : exact; }
    actions = { note; }
    const default_action = note(9);
    const entries = {
      true : note(1);
      false : note(2);
    }
  }
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.setInvalid();
    }
    t.apply();
    hdr.s.setValid();
    hdr.s.v = meta.m;
  }
}

MAIN;
