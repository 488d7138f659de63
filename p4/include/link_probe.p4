// A probe that came over a link between switches goes to the controller, which learns so that the link works.
#ifndef LINK_PROBE_P4_
#define LINK_PROBE_P4_

#include "headers.p4"

control link_probe(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  apply {
    if (hdr.ethernet.isValid() && hdr.ethernet.ether_type == ETHERTYPE_PROBE) {
      if (meta.edge) {
        meta.drop_reason = DropReason.bad_probe;
      } else {
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = standard_metadata.ingress_port;
        hdr.packet_in.kind = ControllerKind.probe;
        hdr.packet_in.slot = 0;
        hdr.packet_in.leader = NOBODY;
        hdr.packet_in.term = 0;
        hdr.packet_in.last_heard_us = 0;
        hdr.packet_in.now_us = standard_metadata.ingress_global_timestamp;
        standard_metadata.egress_spec = CPU_PORT;
        exit;
      }
    }
  }
}

#endif  // LINK_PROBE_P4_
