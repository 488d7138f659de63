// One member of a union is valid at most; none is, once any of them is made invalid or an invalid header is assigned.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> op; bit<8> r; }
header A { bit<8> v; }
header B { bit<8> v; }
header C { bit<8> v; }
header_union U { A a; B b; C c; }
struct Hdrs { Q q; U u; U[2] s; }
struct Meta { }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  state start { p.extract(h.q); p.extract(h.u.b); p.extract(h.s.next.a); p.extract(h.s.next.c); transition accept; }
}
void clear(out A a) { }
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t sm) {
  apply {
    sm.egress_spec = 3;
    A none;
    none.setInvalid();
    bit<8> i = h.q.r;
    h.q.r = 0;
    switch (h.q.op) {
      0: { h.u.a.setInvalid(); }
      1: { h.u.b.setInvalid(); }
      2: { h.u.a = none; }
      3: { h.u.a = (A) {#}; }
      4: { h.s[i].a.setInvalid(); }
      5: { h.s[i].a = none; }
      6: { h.s[i] = h.u; }
      7: { h.u = h.s[i]; }
      8: { h.s[0] = h.s[i]; }
      9: { clear(h.u.a); }
      10: { U u = h.u; u.c.setInvalid(); h.s[1] = u; }
      11: { h.u.a = { 0x44 }; h.s[i].b = { 0x55 }; }
      12: { h.u.a = h.u.a; }
    }
    if (h.u.isValid()) { h.q.r[0:0] = 1; }
    if (h.s[0].isValid()) { h.q.r[1:1] = 1; }
    if (h.s[1].isValid()) { h.q.r[2:2] = 1; }
  }
}
#include "../skel.p4"
