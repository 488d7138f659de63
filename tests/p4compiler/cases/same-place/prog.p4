// Two arguments that are the same place: what is copied back last counts, also for a parameter that is never named.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> a; bit<8> b; }
struct Hdrs { Q q; }
struct Meta { bit<8> x; Q h; }
parser Sub(inout bit<8> a, inout bit<8> b) { state start { a = 0x44; transition accept; } }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  Sub() sub;
  state start { p.extract(h.q); transition select(h.q.op) { 4 : four; default : accept; } }
  state four { sub.apply(h.q.a, h.q.a); transition accept; }
}
void last_unnamed(inout bit<8> x, inout bit<8> y) { x = 0x11; }
void first_unnamed(inout bit<8> x, inout bit<8> y) { y = 0x22; }
void headers(inout Q x, inout Q y) { x.a = 0x33; }
control Inner(inout bit<8> x, inout bit<8> y) { apply { x = 0x55; } }
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  Inner() inner;
  action act(inout bit<8> x, inout bit<8> y) { x = 0x66; }
  table t { actions = { act(m.x, m.x); } const default_action = act(m.x, m.x); }
  apply {
    sm.egress_spec = 3;
    m.x = h.q.a;
    if (h.q.op == 0)      { last_unnamed(m.x, m.x); }
    else if (h.q.op == 1) { first_unnamed(m.x, m.x); }
    else if (h.q.op == 2) { headers(h.q, h.q); m.x = h.q.a; }
    else if (h.q.op == 3) { headers(m.h, h.q); }
    else if (h.q.op == 5) { inner.apply(m.x, m.x); }
    else if (h.q.op == 6) { act(m.x, m.x); }
    else if (h.q.op == 7) { t.apply(); }
    h.q.b = m.x;
  }
}
#include "../skel.p4"
