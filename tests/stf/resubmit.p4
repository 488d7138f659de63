// resubmit: the packet as it came enters ingress again, with the field list.
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

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.r = hdr.d.r + 6;
    if (sm.instance_type == 0) {
      meta.kept = 0x11;
      resubmit_preserving_field_list(1);
    } else {
      hdr.d.b = meta.kept;
    }
  }
}

MAIN;
