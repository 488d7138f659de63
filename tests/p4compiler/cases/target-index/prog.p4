// A stack's index on the left is evaluated once, before anything is written.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> r; }
header El { bit<8> v; bit<8> w; }
struct Hdrs { Q q; El[3] s; El e; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start { p.extract(h.q); p.extract(h.s.next); p.extract(h.s.next); p.extract(h.s.next); p.extract(h.e); transition accept; }
}
bit<8> bump(inout bit<8> x) { x = x + 1; return x; }
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  apply {
    sm.egress_spec = 3;
    if (h.q.op == 0)      { h.s[h.s[0].v] = h.e; }
    else if (h.q.op == 1) { h.s[h.s[0].v] = { h.e.v, h.s[0].v }; }
    else if (h.q.op == 2) { h.s[h.s[0].v] = h.s[h.s[1].v]; }
    else if (h.q.op == 3) { h.s[h.s[0].v].v = bump(h.s[0].v); }
    else if (h.q.op == 4) { h.s[h.s[0].v].v += bump(h.s[0].v); }
    else if (h.q.op == 5) { h.s[bump(h.q.r)].v[3:0] = (bit<4>) bump(h.q.r); }
    else if (h.q.op == 6) { h.q.r += bump(h.q.r); }
    else if (h.q.op == 7) { h.s[bump(h.q.r)].v += h.q.r; }
  }
}
#include "../skel.p4"
