// The keys of a select are evaluated from left to right, each with what those before it have done.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> a; bit<8> r; }
struct Hdrs { Q q; }
struct Meta { }
bit<8> bump(inout bit<8> x) { x = x + 1; return x; }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start {
    p.extract(h.q);
    transition select(h.q.a, bump(h.q.a), h.q.a + 1, bump(h.q.a)) { (5, 6, 7, 7): one; (7, _, _, _): two; default: accept; }
  }
  state one { h.q.r = 1; transition accept; }
  state two { h.q.r = 2; transition accept; }
}
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) { apply { sm.egress_spec = 3; } }
#include "../skel.p4"
