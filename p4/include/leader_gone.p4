// Where a process has ended, its host's kernel answers what is still sent to it with an ICMP port unreachable. At the
// host's own port the controller is told of that. Only the host itself is believed, and only about itself: the ICMP must
// come in at the edge port of a member's host, from that host's address, about a datagram to that address and to the Raft
// port. It is forwarded as ever. A host that has fallen silent may also be asked: its answer to an echo request of the
// controller ends here.
#ifndef LEADER_GONE_P4_
#define LEADER_GONE_P4_

#include "headers.p4"
#include "packet_io.p4"

control leader_gone(inout headers_t hdr, in metadata_t meta, inout standard_metadata_t standard_metadata) {
  counter(END_FATES, CounterType.packets_and_bytes) ends;
  register<time_us_t>(PORTS) end_told;

  bool known = false;
  ipv4_addr_t asks_from = 0;
  bit<16> asks_as = 0;

  // Where the controller's echo requests come from, and their identifier.
  action is_members_host(ipv4_addr_t controller_address, bit<16> identifier) {
    known = true;
    asks_from = controller_address;
    asks_as = identifier;
  }

  action is_unknown() {
  }

  table leader_gone {
    key = {
      standard_metadata.ingress_port: exact @name("ingress_port");
      hdr.ipv4.src_addr: exact @name("address");
    }
    actions = {
      is_members_host;
      @defaultonly is_unknown;
    }
    const default_action = is_unknown();
    size = MEMBERS;
  }

  apply {
    // What comes over a trunk was looked at where it entered.
    if (meta.edge && hdr.icmp.isValid()) {
      bool unreachable = hdr.icmp.type == ICMP_UNREACHABLE && hdr.icmp.code == ICMP_PORT_UNREACHABLE;
      if (unreachable || hdr.icmp.type == ICMP_ECHO_REPLY) {
        leader_gone.apply();
      }
      if (hdr.icmp.type == ICMP_ECHO_REPLY) {
        if (known && hdr.ipv4.dst_addr == asks_from && hdr.icmp.identifier == asks_as) {
          to_controller.apply(hdr, standard_metadata, ControllerKind.echo_reply, 0, NOBODY, 0, 0);
          exit;
        }
      } else if (unreachable) {
        EndFate fate = EndFate.told;
        if (!known) {
          fate = EndFate.no_entry;
        } else if (!hdr.quoted_ipv4.isValid() || hdr.quoted_ipv4.dst_addr != hdr.ipv4.src_addr) {
          fate = EndFate.other_address;
        } else if (!hdr.quoted_udp.isValid() || hdr.quoted_udp.dst_port != RAFT_PORT) {
          fate = EndFate.other_port;
        } else {
          time_us_t now = standard_metadata.ingress_global_timestamp;
          time_us_t told_at;
          end_told.read(told_at, (bit<32>)standard_metadata.ingress_port);
          if (told_at != 0 && now - told_at < DIGEST_PERIOD_US) {
            fate = EndFate.too_soon;
          } else {
            end_told.write((bit<32>)standard_metadata.ingress_port, now);
            digest<leader_gone_digest_t>(1, { hdr.ipv4.src_addr });
          }
        }
        ends.count((bit<32>)(bit<8>)fate);
      }
    }
  }
}

#endif  // LEADER_GONE_P4_
