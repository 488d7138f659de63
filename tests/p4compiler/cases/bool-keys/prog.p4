// A bool as a key of every match kind: it has one bit.
#include <core.p4>
#include <v1model.p4>
header Q { bit<8> on; bit<8> exact_; bit<8> lpm_; bit<8> range_; bit<8> optional_; }
struct Hdrs { Q q; }
struct Meta { bool on; }
parser Prs(packet_in p, out Hdrs h, inout Meta m, inout standard_metadata_t s) {
  state start { p.extract(h.q); transition accept; }
}
control Ing(inout Hdrs h, inout Meta m, inout standard_metadata_t s) {
  action e(bit<8> v) { h.q.exact_ = v; }
  action l(bit<8> v) { h.q.lpm_ = v; }
  action r(bit<8> v) { h.q.range_ = v; }
  action o(bit<8> v) { h.q.optional_ = v; }
  table te { key = { m.on : exact; } actions = { e; } const entries = { true : e(1); false : e(2); } }
  table tl { key = { m.on : lpm; } actions = { l; } const entries = { _ : l(3); true : l(1); } }
  table tr { key = { m.on : range; } actions = { r; } const entries = { true : r(1); _ : r(2); } }
  table to { key = { m.on : optional; } actions = { o; } const entries = { false : o(2); _ : o(1); } }
  apply { m.on = h.q.on == 1; te.apply(); tl.apply(); tr.apply(); to.apply(); s.egress_spec = 3; }
}
#include "../skel.p4"
