// Takes requests that only read to the group's members in turn, where they enter the network. Which one, the sender's
// session and sequence decide, so a request that is doubled goes to one member. A member that cannot read says so, and
// the request comes again, without READ. What only claims to read is no harm: the operation decides at the member.
#ifndef READ_ROUTE_P4_
#define READ_ROUTE_P4_

#include "headers.p4"
#include "update_udp_checksum.p4"

control read_route(inout headers_t hdr, inout metadata_t meta) {
  direct_counter(CounterType.packets_and_bytes) reads_counter;
  bit<8> reader = NOBODY;
  ipv4_addr_t address = 0;
  bit<16> udp_port = 0;

  action read_at(bit<8> member, ipv4_addr_t member_address, bit<16> member_port) {
    reader = member;
    address = member_address;
    udp_port = member_port;
  }

  // A table with a selector takes no default action: where nothing is found, nothing is done.
  table read_route {
    key = {
      hdr.raft.group: exact @name("group");
      hdr.ipv4.dst_addr: exact @name("service_addr");
      hdr.raft.log_term: selector;
      hdr.raft.index: selector;
    }
    actions = {
      read_at;
    }
    @name("readers")
    implementation = action_selector(HashAlgorithm.crc32, MEMBERS, 32w16);
    size = GROUPS;
  }

  action count_read() {
    reads_counter.count();
  }

  action not_counted() {
    reads_counter.count();
  }

  table reads_by_member {
    key = {
      hdr.raft.group: exact @name("group");
      reader: exact @name("member");
    }
    actions = {
      count_read;
      @defaultonly not_counted;
    }
    const default_action = not_counted();
    counters = reads_counter;
    size = MEMBERS;
  }

  apply {
    if (meta.edge && meta.group_known && hdr.raft.type == MessageType.client_request &&
        (hdr.raft.flags & FLAG_READ) != 0 && (hdr.raft.flags & FLAG_NO_STEER) == 0) {
      if (read_route.apply().hit && reader != NOBODY) {
        meta.spread = true;
        reads_by_member.apply();
        update_udp_checksum.apply(hdr.udp, hdr.ipv4.dst_addr, address, hdr.udp.dst_port, udp_port);
        hdr.ipv4.dst_addr = address;
        hdr.udp.dst_port = udp_port;
      }
    }
  }
}

#endif  // READ_ROUTE_P4_
