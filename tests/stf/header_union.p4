// One member of a union is valid at a time; making another one valid ends the first.
#define OWN_TYPES
#include "types.p4"

header short_h {
  bit<8> v;
}

header long_h {
  bit<16> v;
}

header_union body_u {
  short_h s;
  long_h l;
}

struct headers_t {
  short_h kind;
  body_u body;
}

struct meta_t {
}

#define OWN_PARSER
#define OWN_DEPARSER
#include "blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.kind);
    transition select(hdr.kind.v) {
      1: short_body;
      2: long_body;
      default: accept;
    }
  }
  state short_body {
    packet.extract(hdr.body.s);
    transition accept;
  }
  state long_body {
    packet.extract(hdr.body.l);
    transition accept;
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.body.s.isValid()) {
      bit<8> v = hdr.body.s.v;
      hdr.body.l.setValid();
      hdr.body.l.v = 8w0xAA ++ v;
    } else if (hdr.body.l.isValid()) {
      hdr.body.l.setInvalid();
    }
  }
}

DEPARSER {
  apply {
    packet.emit(hdr.kind);
    packet.emit(hdr.body);
  }
}

MAIN;
