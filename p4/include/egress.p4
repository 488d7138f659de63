// Egress: copies get their addresses, and packets are counted at the port that they leave by.
#ifndef EGRESS_P4_
#define EGRESS_P4_

#include "fanout_copy.p4"
#include "headers.p4"

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  counter(PORTS, CounterType.packets_and_bytes) port_tx;

  apply {
    bool leaves = true;
    if (standard_metadata.instance_type == MULTICAST_COPY) {
      fanout_copy.apply(hdr, standard_metadata, leaves);
    }
    if (leaves) {
      port_tx.count((bit<32>)standard_metadata.egress_port);
    }
  }
}

#endif  // EGRESS_P4_
