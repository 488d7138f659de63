// exit ends the block, from inside an action too; egress still runs.
#define OWN_EGRESS
#include "blocks.p4"

EGRESS {
  apply {
    hdr.d.y = 0xEE;
  }
}

INGRESS {
  action leave() {
    exit;
  }
  table stop {
    key = { hdr.d.a : exact; }
    actions = { leave; NoAction; }
    const entries = { 1 : leave(); }
  }
  apply {
    sm.egress_spec = 2;
    stop.apply();
    hdr.d.r = 1;
  }
}

MAIN;
