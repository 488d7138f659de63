// The committed members of a group, as their leader tells the network: at the edge the message goes to the controller,
// which lets the members' entries follow it. Only a registered member is believed.
#ifndef CONFIGURATION_P4_
#define CONFIGURATION_P4_

#include "headers.p4"
#include "packet_io.p4"

control configuration(inout headers_t hdr, in metadata_t meta, inout standard_metadata_t standard_metadata) {
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
        to_controller.apply(hdr, standard_metadata, ControllerKind.configuration, meta.slot, hdr.raft.source,
                            hdr.raft.term, 0);
        exit;
      }
    }
  }
}

#endif  // CONFIGURATION_P4_
