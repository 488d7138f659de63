// What no stage behind this one should have to doubt. Sets drop_reason, and peer for messages between members.
#ifndef VALIDITY_P4_
#define VALIDITY_P4_

#include "headers.p4"

control ipv4_validity(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
  apply {
    bool whole = standard_metadata.packet_length >= (bit<32>)ETHERNET_BYTES + (bit<32>)hdr.ipv4.total_len;
    if (hdr.ipv4.version != 4 || hdr.ipv4.ihl != 5 || hdr.ipv4.total_len < IPV4_BYTES || !whole) {
      meta.drop_reason = DropReason.bad_ipv4;
    } else if (standard_metadata.checksum_error == 1) {
      meta.drop_reason = DropReason.bad_checksum;
    } else if (hdr.ipv4.ttl <= 1) {
      meta.drop_reason = DropReason.ttl_expired;
    } else if (hdr.ipv4.protocol == PROTOCOL_UDP && (hdr.ipv4.frag_offset != 0 || hdr.ipv4.flags[0:0] == 1)) {
      meta.drop_reason = DropReason.udp_fragment;
    }
  }
}

control raft_validity(in headers_t hdr, inout metadata_t meta) {
  apply {
    bool known_type = (hdr.raft.type >= MessageType.pre_vote && hdr.raft.type <= MessageType.read_index_reply) ||
                      (hdr.raft.type >= MessageType.client_request &&
                       hdr.raft.type <= MessageType.client_fragment_status);
    bit<64> every_number = hdr.raft.term | hdr.raft.index | hdr.raft.log_term | hdr.raft.commit;
    bool fanout = (hdr.raft.flags & FLAG_FANOUT) != 0;
    bool read = (hdr.raft.flags & FLAG_READ) != 0;
    bool gathered = (hdr.raft.flags & FLAG_GATHERED) != 0;
    meta.peer = hdr.raft.type < FIRST_CLIENT_TYPE;
    if (hdr.udp.length != hdr.ipv4.total_len - IPV4_BYTES || hdr.udp.length < UDP_BYTES + RAFT_BYTES) {
      meta.drop_reason = DropReason.short_raft;
    } else if (hdr.raft.version != RAFT_VERSION || hdr.raft.reserved != 0 || !known_type) {
      meta.drop_reason = DropReason.bad_version;
    } else if (meta.peer && every_number[63:63] == 1) {
      meta.drop_reason = DropReason.term_range;
    } else if (hdr.raft.type == MessageType.campaign_hint) {
      // The controller's leave by a packet-out at the member's own port, so none ever comes in.
      meta.drop_reason = DropReason.forged_hint;
    } else if (gathered || (fanout && hdr.raft.type != MessageType.append_entries) ||
               (read && hdr.raft.type != MessageType.client_request)) {
      // GATHERED is set on the way out to a host only.
      meta.drop_reason = DropReason.bad_flags;
    } else if (fanout ? hdr.raft.target != EVERYBODY
                      : hdr.raft.target == EVERYBODY && hdr.raft.type != MessageType.configuration) {
      // Copies to one member leave by edge ports only, so none comes in.
      meta.drop_reason = DropReason.bad_target;
    }
  }
}

control validity(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
  apply {
    if (!hdr.ethernet.isValid()) {
      meta.drop_reason = DropReason.parser_error;
    } else if (hdr.ethernet.ether_type != ETHERTYPE_IPV4) {
      meta.drop_reason = DropReason.not_ip;
    } else if (!hdr.ipv4.isValid()) {
      meta.drop_reason = DropReason.bad_ipv4;
    } else {
      ipv4_validity.apply(hdr, meta, standard_metadata);
      if (meta.drop_reason == DropReason.none) {
        if (hdr.raft.isValid()) {
          raft_validity.apply(hdr, meta);
        } else if (standard_metadata.parser_error != error.NoError && hdr.ipv4.protocol == PROTOCOL_UDP) {
          // Only a UDP header or what follows it on the Raft port can be missing here. ICMP may be as short as it likes.
          meta.drop_reason = hdr.udp.isValid() ? DropReason.short_raft : DropReason.parser_error;
        }
      }
    }
  }
}

#endif  // VALIDITY_P4_
