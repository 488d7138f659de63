// Arguments are evaluated, and copied back, as they stand in the call, whatever the order of the parameters.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> a; bit<8> b; bit<8> r; }
struct Hdrs { Q q; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start { p.extract(h.q); transition accept; }
}
bit<8> bump(inout bit<8> x) { x = x + 1; return x; }
bit<8> minus(in bit<8> x, in bit<8> y) { return x - y; }
void pair(out bit<8> x, out bit<8> y) { x = 0x11; y = 0x22; }
control Sub(inout bit<8> x, in bit<8> y) { apply { x = x + y; } }
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  Sub() sub;
  action act(in bit<8> x, in bit<8> y) { h.q.r = x - y; }
  apply {
    sm.egress_spec = 3;
    if (h.q.op == 0)      { h.q.r = minus(y = bump(h.q.a), x = bump(h.q.a)); }
    else if (h.q.op == 1) { pair(y = h.q.a, x = h.q.a); }
    else if (h.q.op == 2) { pair(x = h.q.a, y = h.q.a); }
    else if (h.q.op == 3) { act(y = bump(h.q.a), x = h.q.a); }
    else if (h.q.op == 4) { sub.apply(y = bump(h.q.a), x = h.q.a); }
  }
}
#include "../skel.p4"
