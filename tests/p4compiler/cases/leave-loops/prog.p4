// Ways out of loops, and of loops in loops: break, continue, return, exit by an action, the end of a sub-control.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> n; bit<8> r; bit<8> s; }
struct Hdrs { Q q; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start { p.extract(h.q); transition accept; }
}
bit<8> first_above(in bit<8> n) {
  for (bit<8> i = 0; true; i = i + 3) {
    if (i > n) { return i; }
  }
  return 0;
}
control Sub(inout bit<8> r, in bit<8> n)(bit<8> step) {
  apply {
    for (bit<8> i = 0; i < 4; i += 1) {
      for (bit<8> j = 0; true; j += 1) {
        if (j == 2) { break; }
        if (i + j == n) { return; }
        r = r + step;
      }
      r = r + 0x10;
    }
    r = r + 0x80;
  }
}
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  Sub(1) sub;
  Sub(2) other;
  action count(in bit<8> i) { h.q.r = h.q.r + 1; if (i == h.q.n) { exit; } }
  action loop_and_leave() { for (bit<8> i = 0; i < 9; i += 1) { if (i == h.q.n) { return; } h.q.r = h.q.r + 1; } h.q.r = 0; }
  apply {
    sm.egress_spec = 3;
    switch (h.q.op) {
      0: { sub.apply(h.q.r, h.q.n); }
      1: { for (bit<8> i = 0; i < 5; i += 1) { count(i); } }
      2: { h.q.r = first_above(h.q.n); }
      3: { loop_and_leave(); }
      4: { other.apply(h.q.r, h.q.n); sub.apply(h.q.r, h.q.n); }
      5: {
        for (bit<8> i = 0; true; i += 1) {
          if (i == h.q.n) { return; }
          if (i == 3) { break; }
          for (bit<8> j in 8w0 .. i) { if (j == 1) { continue; } if (j == 9) { exit; } h.q.r = h.q.r + 1; }
        }
        h.q.s = 0x55;
        return;
      }
    }
    h.q.s = 0xEE;
  }
}
#include "../skel.p4"
