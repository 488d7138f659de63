// Egress: packets are counted at the port that they leave by.
#ifndef EGRESS_P4_
#define EGRESS_P4_

#include "headers.p4"

control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  counter(PORTS, CounterType.packets_and_bytes) port_tx;

  apply {
    port_tx.count((bit<32>)standard_metadata.egress_port);
  }
}

#endif  // EGRESS_P4_
