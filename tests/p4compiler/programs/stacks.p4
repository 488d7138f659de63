// Header stacks: a parser loop, lookahead, last, push and pop, an index known at run time only.
#include "common.p4"

parser parse_stack(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
  state start {
    packet.extract(hdr.w);
    transition select(packet.lookahead<bit<8>>()) {
      0: accept;
      default: more;
    }
  }
  state more {
    packet.extract(hdr.s.next);
    meta.x = (bit<8>)hdr.s.lastIndex;
    transition select(hdr.s.last.v) {
      0x80 &&& 0x80: accept;
      1..0x7F: more;
      default: accept;
    }
  }
}

INGRESS {
  apply {
    hdr.w.r = meta.x;
    if (hdr.w.op == 1) {
      hdr.s.push_front(1);
      hdr.s[0].setValid();
      hdr.s[0].v = 0x55;
    } else if (hdr.w.op == 2) {
      hdr.s.pop_front(2);
    } else if (hdr.w.op == 3) {
      hdr.s[hdr.w.a].v = hdr.s[hdr.w.b].v + 1;
    } else if (hdr.w.op == 4) {
      byte_h[4] copy = hdr.s;
      hdr.s[0] = copy[3];
      hdr.s[3] = copy[0];
    } else if (hdr.w.op == 5) {
      if (hdr.s[hdr.w.a].isValid()) {
        hdr.s[hdr.w.a].setInvalid();
      } else {
        hdr.w.r = 0xFF;
      }
    } else if (hdr.w.op == 6) {
      hdr.s[hdr.w.a] = { 0x99 };
    }
    sm.egress_spec = 2;
  }
}

V1Switch(parse_stack(), check(), ingress(), egress(), update(), deparse()) main;
