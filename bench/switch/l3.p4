// The least that a router does: one look-up by destination address, MAC rewrite, TTL, header checksum.
// -D MATCH=exact|lpm|ternary and -D SIZE=N choose the table.
#include <core.p4>
#include <v1model.p4>

#ifndef MATCH
#define MATCH lpm
#endif
#ifndef SIZE
#define SIZE 1024
#endif

header ethernet_t {
  bit<48> dst_addr;
  bit<48> src_addr;
  bit<16> ether_type;
}

header ipv4_h {
  bit<4> version;
  bit<4> ihl;
  bit<8> diffserv;
  bit<16> total_len;
  bit<16> identification;
  bit<3> flags;
  bit<13> frag_offset;
  bit<8> ttl;
  bit<8> protocol;
  bit<16> checksum;
  bit<32> src_addr;
  bit<32> dst_addr;
}

struct headers_t {
  ethernet_t ethernet;
  ipv4_h ipv4;
}

struct metadata_t {}

parser l3_parser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  state start {
    packet.extract(hdr.ethernet);
    transition select(hdr.ethernet.ether_type) {
      0x0800: parse_ipv4;
      default: accept;
    }
  }

  state parse_ipv4 {
    packet.extract(hdr.ipv4);
    transition accept;
  }
}

control verify_checksums(inout headers_t hdr, inout metadata_t meta) {
  apply {}
}

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  action forward(bit<48> dst_mac, bit<9> port) {
    hdr.ethernet.src_addr = hdr.ethernet.dst_addr;
    hdr.ethernet.dst_addr = dst_mac;
    hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
    standard_metadata.egress_spec = port;
  }

  // The same with a mark in the source address, by which a test sees which entry a packet met.
  action forward_marked(bit<48> src_mac, bit<9> port) {
    hdr.ethernet.src_addr = src_mac;
    hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
    standard_metadata.egress_spec = port;
  }

  action drop() {
    mark_to_drop(standard_metadata);
  }

  table routes {
    key = {
      hdr.ipv4.dst_addr: MATCH;
    }
    actions = {
      forward;
      forward_marked;
      drop;
    }
    default_action = drop();
    size = SIZE;
  }

  apply {
    if (hdr.ipv4.isValid() && hdr.ipv4.ttl > 1) {
      routes.apply();
    } else {
      drop();
    }
  }
}

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  apply {}
}

control compute_checksums(inout headers_t hdr, inout metadata_t meta) {
  apply {
    update_checksum(hdr.ipv4.isValid(),
                    {hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.diffserv, hdr.ipv4.total_len, hdr.ipv4.identification,
                     hdr.ipv4.flags, hdr.ipv4.frag_offset, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src_addr,
                     hdr.ipv4.dst_addr},
                    hdr.ipv4.checksum, HashAlgorithm.csum16);
  }
}

control l3_deparser(packet_out packet, in headers_t hdr) {
  apply {
    packet.emit(hdr.ethernet);
    packet.emit(hdr.ipv4);
  }
}

V1Switch(l3_parser(), verify_checksums(), ingress(), egress(), compute_checksums(), l3_deparser()) main;
