// One AppendEntries with FANOUT becomes a copy for every other member, along a tree of switches whose root is the
// leader's own. Each switch takes it from one port only, the one that lies towards the leader. So while switches
// disagree about the tree, no switch takes a message twice and no message goes in circles: the switches of a circle
// take nothing from outside it. A message that is under way while entries change may come twice; its TTL falls at each
// switch. fanout_copy.p4 says who gets a copy.
#ifndef APPEND_FANOUT_P4_
#define APPEND_FANOUT_P4_

#include "headers.p4"

control append_fanout(in headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  direct_counter(CounterType.packets_and_bytes) append_fanout_counter;
  port_t towards_leader = 0;
  bit<16> tree = 0;

  // The port is no part of the key: so an entry that changes never leaves two ports open, and a switch without an
  // entry lets the packet pass.
  action copy_along(port_t from_port, bit<16> multicast_group) {
    append_fanout_counter.count();
    towards_leader = from_port;
    tree = multicast_group;
  }

  action as_addressed() {
    append_fanout_counter.count();
  }

  table append_fanout {
    key = {
      hdr.raft.group: exact @name("group");
      hdr.raft.source: exact @name("source");
    }
    actions = {
      copy_along;
      @defaultonly as_addressed;
    }
    const default_action = as_addressed();
    counters = append_fanout_counter;
    size = TREES;
  }

  apply {
    if (meta.registered && (hdr.raft.flags & FLAG_FANOUT) != 0) {
      if (append_fanout.apply().hit) {
        if (standard_metadata.ingress_port == towards_leader) {
          meta.fanout = true;
          standard_metadata.mcast_grp = tree;
        } else {
          meta.drop_reason = DropReason.wrong_port;
        }
      }
    }
  }
}

#endif  // APPEND_FANOUT_P4_
