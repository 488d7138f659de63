// Plain IPv4 routing: the one table without which nothing is forwarded, and the last that the controller fills.
#ifndef IPV4_FORWARD_P4_
#define IPV4_FORWARD_P4_

#include "headers.p4"

control ipv4_forward(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  direct_counter(CounterType.packets_and_bytes) ipv4_lpm_counter;

  action forward(mac_t dst_mac, port_t port) {
    ipv4_lpm_counter.count();
    hdr.ethernet.src_addr = hdr.ethernet.dst_addr;
    hdr.ethernet.dst_addr = dst_mac;
    hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
    standard_metadata.egress_spec = port;
  }

  action no_route() {
    ipv4_lpm_counter.count();
    meta.drop_reason = DropReason.no_route;
  }

  table ipv4_lpm {
    key = {
      hdr.ipv4.dst_addr: lpm @name("dst_addr");
    }
    actions = {
      forward;
      no_route;
    }
    const default_action = no_route();
    counters = ipv4_lpm_counter;
    size = ROUTES;
  }

  apply {
    ipv4_lpm.apply();
  }
}

#endif  // IPV4_FORWARD_P4_
