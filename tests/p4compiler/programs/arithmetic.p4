#include "common.p4"

INGRESS {
  apply {
    int<8> sa = (int<8>)hdr.w.a;
    int<8> sb = (int<8>)hdr.w.b;
    bit<8> r = 0;
    switch (hdr.w.op) {
      1: { r = hdr.w.a + hdr.w.b; }
      2: { r = hdr.w.a - hdr.w.b; }
      3: { r = hdr.w.a * hdr.w.b; }
      4: { r = hdr.w.a |+| hdr.w.b; }
      5: { r = hdr.w.a |-| hdr.w.b; }
      6: { r = (bit<8>)(sa |+| sb); }
      7: { r = (bit<8>)(sa |-| sb); }
      8: { r = hdr.w.a << hdr.w.b; }
      9: { r = hdr.w.a >> hdr.w.b; }
      10: { r = (bit<8>)(sa >> hdr.w.b); }
      11: { r = ~hdr.w.a & -hdr.w.b; }
      12: { r = sa < sb ? 8w1 : 0; }
      13: { r = hdr.w.a < hdr.w.b ? 8w1 : 0; }
      14: { r = (hdr.w.a ++ hdr.w.b)[11:4]; }
      15: { r = (bit<8>)(bit<1>)(hdr.w.a == hdr.w.b || (sa < 0 && sb < 0)); }
      16: { hdr.w.w = hdr.w.w + 0xFFFFFFFF; }
      17: { hdr.w.w[23:16] = hdr.w.a; }
      18: { hdr.w.w = (bit<32>)(int<32>)sa; }
      19: { hdr.w.w = hdr.w.w << (bit<32>)hdr.w.w; }
      20: { hdr.w.w[7:0] += 3; hdr.w.w[31:24] |= 0x81; }
      default: { r = 0xEE; }
    }
    hdr.w.r = r;
    sm.egress_spec = 2;
  }
}

MAIN;
