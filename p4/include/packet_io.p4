// Packet-outs: a frame leaves as the controller made it; a tick goes on to where its registers are.
#ifndef PACKET_IO_P4_
#define PACKET_IO_P4_

#include "headers.p4"

// The packet goes to the controller, behind a header that says why. Nothing else may happen to it: `exit` follows.
control to_controller(inout headers_t hdr, inout standard_metadata_t standard_metadata, in ControllerKind kind,
                      in bit<8> slot, in bit<8> leader, in bit<64> term, in time_us_t last_heard) {
  apply {
    hdr.packet_in.setValid();
    hdr.packet_in.ingress_port = standard_metadata.ingress_port;
    hdr.packet_in.kind = kind;
    hdr.packet_in.slot = slot;
    hdr.packet_in.leader = leader;
    hdr.packet_in.term = term;
    hdr.packet_in.last_heard_us = last_heard;
    hdr.packet_in.now_us = standard_metadata.ingress_global_timestamp;
    standard_metadata.egress_spec = CPU_PORT;
  }
}

control packet_io(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  apply {
    if (hdr.packet_out.isValid()) {
      if (hdr.packet_out.kind == ControllerKind.frame) {
        standard_metadata.egress_spec = hdr.packet_out.egress_port;
        exit;
      } else if (hdr.packet_out.kind == ControllerKind.registers && (bit<32>)hdr.packet_out.slot < GROUPS) {
        meta.tick = true;
        meta.slot = hdr.packet_out.slot;
      } else {
        meta.drop_reason = DropReason.bad_packet_out;
      }
    }
  }
}

#endif  // PACKET_IO_P4_
