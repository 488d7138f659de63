// Only the metadata of the field list goes with a clone.
#define OWN_TYPES
#include "types.p4"

struct headers_t {
  data_h d;
}

struct meta_t {
  @field_list(1)
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
    clone_preserving_field_list(CloneType.I2E, 9, 1);
  }
}

EGRESS {
  apply {
    hdr.d.a = meta.kept;
    hdr.d.b = meta.lost;
  }
}

MAIN;
