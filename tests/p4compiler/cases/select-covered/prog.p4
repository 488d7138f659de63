// The first case that fits counts, also before cases that fit more closely.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> a; bit<8> r; }
struct Hdrs { Q q; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start {
    p.extract(h.q);
    transition select(h.q.op) { 0: any_first; 1: range_first; 2: mask_first; default: accept; }
  }
  state any_first { transition select(h.q.a, h.q.op) { (_, _): one; (1, _): two; } }
  state range_first { transition select(h.q.a) { 0 .. 255: one; 1: two; default: two; } }
  state mask_first { transition select(h.q.a) { 1 &&& 0: one; 1: two; } }
  state one { h.q.r = 1; transition accept; }
  state two { h.q.r = 2; transition accept; }
}
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) { apply { sm.egress_spec = 3; } }
#include "../skel.p4"
