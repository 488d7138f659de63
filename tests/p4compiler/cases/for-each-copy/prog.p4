// The collection of a loop is evaluated once, before the loop: what the body writes there, the loop does not see.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> a; bit<8> r; }
header El { bit<8> v; }
struct Hdrs { Q q; El[3] s; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start { p.extract(h.q); p.extract(h.s.next); p.extract(h.s.next); p.extract(h.s.next); transition accept; }
}
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  apply {
    sm.egress_spec = 3;
    if (h.q.op == 0)      { for (El e in h.s) { h.s[2] = e; h.q.r = h.q.r + e.v; } }
    else if (h.q.op == 1) { for (El e in h.s) { h.s.pop_front(1); h.q.r = h.q.r + e.v; } }
    else if (h.q.op == 2) { for (bit<8> x in (list<bit<8>>) { h.q.a, h.q.a, h.q.a }) { h.q.a = h.q.a + 1; h.q.r = h.q.r + x; } }
    else if (h.q.op == 3) { for (El e in h.s) { e.v = 0; h.q.r = h.q.r + 1; } }
  }
}
#include "../skel.p4"
