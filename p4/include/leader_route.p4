// Steers client requests to the leader, where they enter the network only: at every hop, switches that disagree for a
// moment would pass a request round in circles.
#ifndef LEADER_ROUTE_P4_
#define LEADER_ROUTE_P4_

#include "headers.p4"
#include "update_udp_checksum.p4"

control leader_route(inout headers_t hdr, inout metadata_t meta) {
  counter(GROUPS, CounterType.packets_and_bytes) redirects;
  direct_counter(CounterType.packets_and_bytes) leader_route_counter;
  bool steer = false;
  bool service = false;

  action steer_to_leader() {
    leader_route_counter.count();
    steer = true;
  }

  action as_addressed() {
    leader_route_counter.count();
  }

  table leader_route {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      steer_to_leader;
      @defaultonly as_addressed;
    }
    const default_action = as_addressed();
    counters = leader_route_counter;
    size = GROUPS;
  }

  // An address that stands for a group: no host has it.
  action is_service() {
    service = true;
  }

  action not_service() {
  }

  table service_addresses {
    key = {
      hdr.ipv4.dst_addr: exact @name("address");
    }
    actions = {
      is_service;
      @defaultonly not_service;
    }
    const default_action = not_service();
    size = GROUPS;
  }

  apply {
    if (meta.edge && meta.group_known && hdr.raft.type == MessageType.client_request &&
        (hdr.raft.flags & FLAG_NO_STEER) == 0) {
      leader_route.apply();
      service_addresses.apply();
      // Without a leader only the service address is resolved, to some live member.
      bool resolve = (steer && meta.leader != NOBODY) || service;
      bool elsewhere = hdr.ipv4.dst_addr != meta.address || hdr.udp.dst_port != meta.udp_port;
      if (resolve && elsewhere && meta.address != 0) {
        redirects.count((bit<32>)meta.slot);
        update_udp_checksum.apply(hdr.udp, hdr.ipv4.dst_addr, meta.address, hdr.udp.dst_port, meta.udp_port);
        hdr.ipv4.dst_addr = meta.address;
        hdr.udp.dst_port = meta.udp_port;
      }
    }
  }
}

#endif  // LEADER_ROUTE_P4_
