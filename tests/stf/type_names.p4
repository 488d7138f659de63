// typedef is another name of a type, type makes a new one.
#include "blocks.p4"

typedef bit<8> octet_t;
type bit<16> address_t;
type int<8> offset_t;

const int BASE = 0x3330;
const address_t HOME = BASE + 3;
const address_t AWAY = (address_t)0x14444;
const offset_t BACK = -2;

address_t number() {
  address_t n;
  n = 0x11;
  if (n == (address_t)0x12) {
    return 1;
  }
  return n;
}

octet_t half(in octet_t v) {
  return v >> 1;
}

INGRESS {
  apply {
    sm.egress_spec = 2;
    if (hdr.d.op == 1) {
      hdr.d.x = (bit<16>)HOME;
      hdr.d.y = (bit<16>)AWAY;
      hdr.d.b = (bit<8>)(bit<16>)number();
      hdr.d.r = (bit<8>)(int<8>)BACK;
      return;
    }
    octet_t o = half(hdr.d.a);
    hdr.d.r = o + hdr.d.b;
    address_t from = (address_t)hdr.d.x;
    address_t to = (address_t)hdr.d.y;
    if (from != to) {
      hdr.d.x = (bit<16>)to;
      hdr.d.y = (bit<16>)from;
    }
  }
}

MAIN;
