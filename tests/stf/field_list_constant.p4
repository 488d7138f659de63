// The index of a field list may be a constant, in the annotation and in the call.
#define OWN_TYPES
#include "types.p4"

const int KEPT = 3;

struct headers_t {
  data_h d;
}

struct meta_t {
  @field_list(KEPT)
  bit<8> kept;
  bit<8> lost;
}

#define OWN_EGRESS
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    meta.kept = 0x11;
    meta.lost = 0x22;
    clone_preserving_field_list(CloneType.I2E, 9, KEPT);
  }
}

EGRESS {
  apply {
    hdr.d.a = meta.kept;
    hdr.d.b = meta.lost;
  }
}

MAIN;
