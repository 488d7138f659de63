// Ethernet, IPv4, UDP, Raft. A datagram on the Raft port whose first byte is 64 or more is QUIC: plain traffic. Of an
// acknowledgement that may be gathered the rest, for ack_gather.p4. Of ICMP what leader_gone.p4 asks for: the first eight
// bytes, and the packet that a port unreachable quotes.
#ifndef PARSER_P4_
#define PARSER_P4_

#include "headers.p4"

parser raft_parser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                   inout standard_metadata_t standard_metadata) {
  state start {
    transition select(standard_metadata.ingress_port) {
      CPU_PORT: parse_packet_out;
      default: parse_ethernet;
    }
  }

  // What follows is the controller's frame, sent as it is.
  state parse_packet_out {
    packet.extract(hdr.packet_out);
    transition accept;
  }

  state parse_ethernet {
    packet.extract(hdr.ethernet);
    transition select(hdr.ethernet.ether_type) {
      ETHERTYPE_IPV4: parse_ipv4;
      default: accept;
    }
  }

  state parse_ipv4 {
    packet.extract(hdr.ipv4);
    transition select(hdr.ipv4.ihl, hdr.ipv4.flags[0:0], hdr.ipv4.frag_offset, hdr.ipv4.protocol) {
      (5, 0, 0, PROTOCOL_UDP): parse_udp;
      (5, 0, 0, PROTOCOL_ICMP): parse_icmp;
      default: accept;
    }
  }

  state parse_udp {
    packet.extract(hdr.udp);
    transition select(hdr.udp.src_port, hdr.udp.dst_port) {
      (_, RAFT_PORT): parse_first_byte;
      (RAFT_PORT, _): parse_first_byte;
      default: accept;
    }
  }

  state parse_first_byte {
    transition select(packet.lookahead<bit<8>>()) {
      0x00 &&& 0xC0: parse_raft;
      default: accept;
    }
  }

  state parse_raft {
    packet.extract(hdr.raft);
    transition select(hdr.raft.type, hdr.raft.flags, hdr.udp.length) {
      ((bit<8>)MessageType.append_entries_reply, FLAG_GATHER, PLAIN_ACK): parse_ack;
      ((bit<8>)MessageType.append_entries_reply, FLAG_GATHER, SEALED_ACK): parse_ack;
      default: accept;
    }
  }

  state parse_ack {
    packet.extract(hdr.ack);
    transition select(hdr.udp.length) {
      SEALED_ACK: parse_seal;
      default: accept;
    }
  }

  state parse_seal {
    packet.extract(hdr.seal);
    transition accept;
  }

  state parse_icmp {
    packet.extract(hdr.icmp);
    transition select(hdr.icmp.type, hdr.icmp.code) {
      (ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE): parse_quoted_ipv4;
      default: accept;
    }
  }

  state parse_quoted_ipv4 {
    packet.extract(hdr.quoted_ipv4);
    transition select(hdr.quoted_ipv4.version, hdr.quoted_ipv4.ihl, hdr.quoted_ipv4.frag_offset,
                      hdr.quoted_ipv4.protocol) {
      (4, 5, 0, PROTOCOL_UDP): parse_quoted_udp;
      default: accept;
    }
  }

  state parse_quoted_udp {
    packet.extract(hdr.quoted_udp);
    transition accept;
  }
}

control raft_deparser(packet_out packet, in headers_t hdr) {
  apply {
    packet.emit(hdr.packet_in);
    packet.emit(hdr.ethernet);
    packet.emit(hdr.ipv4);
    packet.emit(hdr.udp);
    packet.emit(hdr.raft);
    packet.emit(hdr.records);
    packet.emit(hdr.sealed_records);
    packet.emit(hdr.ack);
    packet.emit(hdr.seal);
    packet.emit(hdr.icmp);
    packet.emit(hdr.quoted_ipv4);
    packet.emit(hdr.quoted_udp);
  }
}

#endif  // PARSER_P4_
