// Limits how many requests a second the clients' host at a port may send. Requests only: what members say to each other
// is never metered, whatever its port. It stands before leader_route, so that what is too much goes no farther than its
// own edge.
#ifndef CLIENT_LIMIT_P4_
#define CLIENT_LIMIT_P4_

#include "headers.p4"

control client_limit(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
  counter(PORTS, CounterType.packets_and_bytes) over_limits;
  direct_counter(CounterType.packets_and_bytes) client_limit_counter;
  direct_meter<bit<8>>(MeterType.packets) client_limit_meter;
  bit<8> colour = METER_GREEN;

  // The rate is the meter's. It stands here, too, so that whoever reads the entry reads it as it was wished for: BMv2's
  // meters have rates in floating point.
  action limited(bit<32> per_second) {
    client_limit_counter.count();
    client_limit_meter.read(colour);
  }

  action unlimited() {
    client_limit_counter.count();
  }

  table client_limit {
    key = {
      standard_metadata.ingress_port: exact @name("ingress_port");
    }
    actions = {
      limited;
      @defaultonly unlimited;
    }
    const default_action = unlimited();
    counters = client_limit_counter;
    meters = client_limit_meter;
    size = PORTS;
  }

  apply {
    if (meta.edge && hdr.raft.type == MessageType.client_request) {
      client_limit.apply();
      if (colour == METER_RED) {
        over_limits.count((bit<32>)standard_metadata.ingress_port);
        meta.drop_reason = DropReason.over_limit;
      }
    }
  }
}

#endif  // CLIENT_LIMIT_P4_
