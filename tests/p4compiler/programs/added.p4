// A table that the test fills; multicast, clones and field lists.
#include "common.p4"

struct own_t {
  @field_list(1)
  bit<8> kept;
  bit<8> lost;
}

parser parse_own(packet_in packet, out headers_t hdr, inout own_t own, inout standard_metadata_t sm) {
  state start {
    packet.extract(hdr.w);
    transition accept;
  }
}

control verify_own(inout headers_t hdr, inout own_t own) { apply { } }
control update_own(inout headers_t hdr, inout own_t own) { apply { } }

control ingress_own(inout headers_t hdr, inout own_t own, inout standard_metadata_t sm) {
  direct_counter(CounterType.packets_and_bytes) hits;
  action forward(bit<9> port) {
    sm.egress_spec = port;
    hits.count();
  }
  action spread(bit<16> group) {
    sm.mcast_grp = group;
  }
  action drop() {
    mark_to_drop(sm);
  }
  table route {
    key = { hdr.w.w: lpm; }
    actions = { forward; spread; drop; }
    default_action = drop();
    counters = hits;
  }
  apply {
    own.kept = hdr.w.a;
    own.lost = hdr.w.b;
    route.apply();
    if (hdr.w.op == 9) {
      clone_preserving_field_list(CloneType.I2E, 5, 1);
    }
  }
}

control egress_own(inout headers_t hdr, inout own_t own, inout standard_metadata_t sm) {
  apply {
    if (sm.instance_type == 1) {
      hdr.w.r = own.kept + own.lost;
    } else if (sm.egress_rid != 0) {
      hdr.w.r = (bit<8>)sm.egress_rid;
    }
  }
}

V1Switch(parse_own(), verify_own(), ingress_own(), egress_own(), update_own(), deparse()) main;
