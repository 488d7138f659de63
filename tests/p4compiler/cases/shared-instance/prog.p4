// One table of one instance, applied with other arguments at each place.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> a; bit<8> b; bit<8> r; bit<8> t; }
struct Hdrs { Q q; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start { p.extract(h.q); transition accept; }
}
control Sub(in bit<8> i, inout Q q) {
  action setv(bit<8> n) { q.r = n; }
  table t { key = { i : exact; } actions = { setv; } const entries = { 1 : setv(0x11); 2 : setv(0x22); } default_action = setv(0x99); }
  apply { t.apply(); } }
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  Sub() sub;
  apply {
    sm.egress_spec = 3;
    if (h.q.t == 0) { sub.apply(h.q.a, h.q); } else if (h.q.t == 1) { sub.apply(h.q.b, h.q); } else { sub.apply(2, h.q); }
  }
}
#include "../skel.p4"
