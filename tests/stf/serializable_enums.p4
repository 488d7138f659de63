// An enum of a type stands in headers and takes any value off the wire.
#define OWN_TYPES
#include "types.p4"

enum bit<8> Kind {
  request = 1,
  reply = 2,
  failure = 0xFF
}

header message_h {
  Kind kind;
  bit<8> number;
}

struct headers_t {
  message_h d;
}

struct meta_t {
}

#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.kind == Kind.request) {
      hdr.d.kind = Kind.reply;
    } else if (hdr.d.kind != Kind.reply) {
      hdr.d.number = (bit<8>)hdr.d.kind;
      hdr.d.kind = Kind.failure;
    }
  }
}

MAIN;
