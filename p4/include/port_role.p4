// Trunks lead to other switches. A port without an entry is an edge: a switch trusts nobody by default.
#ifndef PORT_ROLE_P4_
#define PORT_ROLE_P4_

#include "headers.p4"

control port_role(inout metadata_t meta, in standard_metadata_t standard_metadata) {
  action set_trunk() {
    meta.edge = false;
  }

  action set_edge() {
    meta.edge = true;
  }

  table port_roles {
    key = {
      standard_metadata.ingress_port: exact @name("ingress_port");
    }
    actions = {
      set_trunk;
      @defaultonly set_edge;
    }
    const default_action = set_edge();
    size = PORTS;
  }

  apply {
    port_roles.apply();
  }
}

#endif  // PORT_ROLE_P4_
