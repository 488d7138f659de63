// The length of the packet and its ports as metadata.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    hdr.d.a = (bit<8>)sm.ingress_port;
    hdr.d.r = (bit<8>)sm.packet_length;
  }
}

MAIN;
