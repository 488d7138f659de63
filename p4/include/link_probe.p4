// A probe that came over a link between switches goes to the controller: the link works in this direction.
#ifndef LINK_PROBE_P4_
#define LINK_PROBE_P4_

#include "headers.p4"
#include "packet_io.p4"

control link_probe(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  apply {
    if (hdr.ethernet.isValid() && hdr.ethernet.ether_type == ETHERTYPE_PROBE) {
      if (meta.edge) {
        meta.drop_reason = DropReason.bad_probe;
      } else {
        to_controller.apply(hdr, standard_metadata, ControllerKind.probe, 0, NOBODY, 0, 0);
        exit;
      }
    }
  }
}

#endif  // LINK_PROBE_P4_
