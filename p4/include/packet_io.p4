// Packet-outs: a frame leaves as the controller made it; a tick goes on to where its registers are.
#ifndef PACKET_IO_P4_
#define PACKET_IO_P4_

#include "headers.p4"

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
