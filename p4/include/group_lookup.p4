// The one look-up per group: its register slot, its quorum, and the leader that the controller has installed.
#ifndef GROUP_LOOKUP_P4_
#define GROUP_LOOKUP_P4_

#include "headers.p4"

control group_lookup(in headers_t hdr, inout metadata_t meta) {
  // leader 0: none is known; address and udp_port are then some live member's.
  action set_group(bit<8> slot, bit<8> quorum, bit<8> leader, bit<64> term, ipv4_addr_t address, bit<16> udp_port) {
    meta.group_known = true;
    meta.slot = slot;
    meta.quorum = quorum;
    meta.leader = leader;
    meta.term = term;
    meta.address = address;
    meta.udp_port = udp_port;
  }

  action no_group() {
    meta.group_known = false;
  }

  table groups {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      set_group;
      @defaultonly no_group;
    }
    const default_action = no_group();
    size = GROUPS;
  }

  apply {
    groups.apply();
  }
}

#endif  // GROUP_LOOKUP_P4_
