// A copy for each member of a group, told apart by egress_rid and port.
#define OWN_EGRESS
#include "blocks.p4"

INGRESS {
  apply {
    sm.mcast_grp = 7;
  }
}

EGRESS {
  apply {
    hdr.d.r = (bit<8>)sm.egress_rid;
    hdr.d.b = (bit<8>)sm.egress_port;
  }
}

MAIN;
