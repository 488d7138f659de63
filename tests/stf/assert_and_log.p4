// assert, assume and log_msg leave the packet alone.
#include "blocks.p4"

INGRESS {
  apply {
    sm.egress_spec = 2;
    assert(hdr.d.a < 100);
    assume(hdr.d.isValid());
    log_msg("a is {}", { hdr.d.a });
    hdr.d.r = hdr.d.a + hdr.d.b;
  }
}

MAIN;
