// What networks have: VLANs, IPv4, IPv6, and protocols of one's own behind an EtherType, an IP protocol and ports.
#define OWN_TYPES
#define OWN_PARSER
#include "../stf/types.p4"

enum bit<16> Kind {
  request = 1,
  reply = 2
}

type bit<32> node_t;

header ethernet_h {
  bit<48> to;
  bit<48> from;
  bit<16> type;
}

header vlan_h {
  bit<3> priority;
  bit<1> eligible;
  bit<12> id;
  bit<16> type;
}

header ipv4_h {
  bit<4> version;
  bit<4> words;
  bit<8> service;
  bit<16> length;
  bit<16> id;
  bit<16> fragment;
  bit<8> ttl;
  bit<8> protocol;
  bit<16> sum;
  bit<32> from;
  bit<32> to;
}

header options_h {
  varbit<320> data;
}

header ipv6_h {
  bit<4> version;
  bit<8> service;
  bit<20> flow;
  bit<16> length;
  bit<8> next;
  bit<8> hops;
  bit<128> from;
  bit<128> to;
}

header udp_h {
  bit<16> from;
  bit<16> to;
  bit<16> length;
  bit<16> sum;
}

header tcp_h {
  bit<16> from;
  bit<16> to;
  bit<128> rest;
}

header tunnel_h {
  Kind kind;
  node_t node;
  bit<16> type;
}

header hop_h {
  bit<1> last;
  bit<7> node;
}

struct headers_t {
  ethernet_h ethernet;
  vlan_h vlan;
  ipv4_h ipv4;
  options_h options;
  ipv6_h ipv6;
  udp_h udp;
  tcp_h tcp;
  tunnel_h tunnel;
  hop_h[4] hops;
}

struct meta_t {
}

#include "../stf/blocks.p4"

PARSER {
  state start {
    packet.extract(hdr.ethernet);
    transition type_of;
  }
  state type_of {
    transition select(hdr.ethernet.type) {
      0x8100: vlan;
      0x0800: ipv4;
      0x86DD: ipv6;
      0x1212: tunnel;
      default: accept;
    }
  }
  state vlan {
    packet.extract(hdr.vlan);
    transition select(hdr.vlan.type) {
      0x0800: ipv4;
      0x1213: hops;
      default: accept;
    }
  }
  state ipv4 {
    packet.extract(hdr.ipv4);
    transition select(hdr.ipv4.words) {
      5: protocol_of;
      default: options;
    }
  }
  state options {
    packet.extract(hdr.options, ((bit<32>)hdr.ipv4.words - 5) * 32);
    transition protocol_of;
  }
  state protocol_of {
    transition select(hdr.ipv4.protocol) {
      6: tcp;
      17: udp;
      0xC8: hops;
      default: accept;
    }
  }
  state ipv6 {
    packet.extract(hdr.ipv6);
    transition select(hdr.ipv6.next) {
      17: udp;
      default: accept;
    }
  }
  state tcp {
    packet.extract(hdr.tcp);
    transition select(hdr.tcp.to) {
      7000: tunnel;
      default: accept;
    }
  }
  state udp {
    packet.extract(hdr.udp);
    transition select(hdr.udp.to) {
      6000 &&& 0xFFFE: tunnel;
      6100 .. 6102: hops;
      default: accept;
    }
  }
  state tunnel {
    packet.extract(hdr.tunnel);
    transition select(hdr.tunnel.type) {
      0x0800: accept;
      default: hops;
    }
  }
  state hops {
    packet.extract(hdr.hops.next);
    transition select(hdr.hops.last.last) {
      1: accept;
      default: hops;
    }
  }
}

INGRESS {
  apply {
    sm.egress_spec = 2;
  }
}

MAIN;
