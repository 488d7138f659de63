// Arithmetic of the compiler: numbers without a width, division, powers of two.
#include "blocks.p4"

const int SECONDS = 60 * 60 * 24;
const bit<16> HOURS = SECONDS / 3600;
const bit<8> REST = SECONDS % 7;
const bit<8> NEGATIVE = (bit<8>)(int<8>)(-3);
const bit<16> POWER = 1 << (2 + 3 * 4);

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.a = REST;
    hdr.d.b = NEGATIVE;
    hdr.d.r = 0b1010_0101;
    hdr.d.x = HOURS;
    hdr.d.y = POWER;
  }
}

MAIN;
