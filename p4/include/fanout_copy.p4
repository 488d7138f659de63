// Egress: what append_fanout.p4 has copied becomes a member's, or goes on to the next switch of the tree as it came. A
// copy's instance number is its member's id, and 0 on a trunk.
#ifndef FANOUT_COPY_P4_
#define FANOUT_COPY_P4_

#include "headers.p4"
#include "update_udp_checksum.p4"

control fanout_copy(inout headers_t hdr, inout standard_metadata_t standard_metadata, out bool leaves) {
  direct_counter(CounterType.packets_and_bytes) fanout_copy_counter;
  counter(COPY_FATES, CounterType.packets_and_bytes) copies;

  CopyFate fate = CopyFate.no_entry;
  mac_t mac = 0;
  ipv4_addr_t member_address = 0;
  bit<16> member_port = 0;

  action to_member(mac_t dst_mac, ipv4_addr_t address, bit<16> udp_port) {
    fanout_copy_counter.count();
    fate = CopyFate.to_member;
    mac = dst_mac;
    member_address = address;
    member_port = udp_port;
  }

  action over_trunk(mac_t dst_mac) {
    fanout_copy_counter.count();
    fate = CopyFate.over_trunk;
    mac = dst_mac;
  }

  action no_entry() {
    fanout_copy_counter.count();
  }

  table fanout_copy {
    key = {
      hdr.raft.group: exact @name("group");
      standard_metadata.egress_port: exact @name("egress_port");
      standard_metadata.egress_rid: exact @name("member");
    }
    actions = {
      to_member;
      over_trunk;
      @defaultonly no_entry;
    }
    const default_action = no_entry();
    counters = fanout_copy_counter;
    size = MEMBERS;
  }

  apply {
    fanout_copy.apply();
    bit<8> member = standard_metadata.egress_rid[7:0];
    // By id, not by port: two members may hang behind one port.
    if (fate == CopyFate.to_member && member == hdr.raft.source) {
      fate = CopyFate.to_sender;
    } else if (fate == CopyFate.over_trunk && standard_metadata.egress_port == standard_metadata.ingress_port) {
      fate = CopyFate.back;
    }
    copies.count((bit<32>)(bit<8>)fate);
    leaves = fate == CopyFate.to_member || fate == CopyFate.over_trunk;
    if (fate == CopyFate.to_member) {
      update_udp_checksum.apply(hdr.udp, hdr.ipv4.dst_addr, member_address, hdr.udp.dst_port, member_port);
      update_udp_checksum.apply(hdr.udp, 0, 0, hdr.raft.target ++ hdr.raft.reserved, member ++ hdr.raft.reserved);
      hdr.ipv4.dst_addr = member_address;
      hdr.udp.dst_port = member_port;
      hdr.raft.target = member;
    }
    if (leaves) {
      hdr.ethernet.src_addr = hdr.ethernet.dst_addr;
      hdr.ethernet.dst_addr = mac;
      hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
    } else {
      mark_to_drop(standard_metadata);
    }
  }
}

#endif  // FANOUT_COPY_P4_
