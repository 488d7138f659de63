// The committed members of a group, as their leader tells the network: at the edge the message goes to the controller,
// which lets the members' entries follow it. Only a registered member is believed.
#ifndef CONFIGURATION_P4_
#define CONFIGURATION_P4_

#include "headers.p4"

control configuration_to_controller(inout headers_t hdr, in metadata_t meta,
                                    inout standard_metadata_t standard_metadata) {
  bool tell = false;

  action tell_controller() {
    tell = true;
  }

  action tell_nobody() {
  }

  table configuration {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      tell_controller;
      @defaultonly tell_nobody;
    }
    const default_action = tell_nobody();
    size = GROUPS;
  }

  apply {
    if (meta.edge && meta.registered && hdr.raft.type == MessageType.configuration) {
      configuration.apply();
      if (tell) {
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = standard_metadata.ingress_port;
        hdr.packet_in.kind = ControllerKind.configuration;
        hdr.packet_in.slot = meta.slot;
        hdr.packet_in.leader = hdr.raft.source;
        hdr.packet_in.term = hdr.raft.term;
        hdr.packet_in.last_heard_us = 0;
        hdr.packet_in.now_us = standard_metadata.ingress_global_timestamp;
        standard_metadata.egress_spec = CPU_PORT;
        exit;
      }
    }
  }
}

#endif  // CONFIGURATION_P4_
