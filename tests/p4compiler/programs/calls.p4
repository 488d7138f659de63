// Functions, generic ones, directions, order of evaluation, exit and return in nested calls.
#include "common.p4"

bit<8> twice(in bit<8> v) {
  return v + v;
}

bit<8> bump(inout bit<8> v) {
  v = v + 1;
  return v;
}

void swap<T>(inout T x, inout T y) {
  T old = x;
  x = y;
  y = old;
}

void first_only(inout bit<8> x, inout bit<8> unnamed) {
  x = x + 1;
}

bit<8> classify(in bit<8> v) {
  if (v < 10) {
    return 1;
  }
  if (v < 20) {
    return 2;
  }
  return 3;
}

control nested(inout bit<8> v, in bit<8> limit)(bit<8> step) {
  action add(bit<8> n) {
    v = v + n;
  }
  apply {
    if (v > limit) {
      return;
    }
    add(step);
  }
}

INGRESS {
  nested(3) by_three;
  nested(5) by_five;
  action last_words(inout bit<8> v) {
    v = 0x77;
    exit;
  }
  action by_name(inout bit<8> unnamed) {
    hdr.w.a = 0x55;
  }
  action unnamed_beside(inout bit<8> unnamed, bit<8> value) {
    hdr.w.r = value;
  }
  apply {
    sm.egress_spec = 2;
    switch (hdr.w.op) {
      1: { hdr.w.r = twice(hdr.w.a) + bump(hdr.w.a) + hdr.w.a; }
      2: { swap(hdr.w.a, hdr.w.b); }
      3: { hdr.w.r = classify(hdr.w.a); }
      4: { by_three.apply(hdr.w.a, 10); by_five.apply(hdr.w.a, hdr.w.b); }
      5: { last_words(hdr.w.r); hdr.w.a = 0xFF; }
      6: { if (hdr.w.a > 5 && bump(hdr.w.b) > 5) { hdr.w.r = 1; } }
      7: { hdr.w.r = hdr.w.a > 5 ? bump(hdr.w.a) : bump(hdr.w.b); }
      8: { hdr.w.a = hdr.w.b + bump(hdr.w.b); }
      10: { by_name(hdr.w.a); }
      11: { first_only(hdr.w.a, hdr.w.a); first_only(hdr.w.b, hdr.w.r); }
      12: { by_name(hdr.w.b); }
      13: { unnamed_beside(hdr.w.a, bump(hdr.w.a)); }
    }
    if (hdr.w.op == 9) {
      return;
    }
    hdr.w.w = 1;
  }
}

MAIN;
