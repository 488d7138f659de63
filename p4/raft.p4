// A switch that takes part in Raft without ever being trusted with it.
//
//            packet in
//                |
//   packet_io      controller's packet-outs leave; its register reads ("ticks") go on to leader_watch
//   message_count  every Raft message by type, valid or not
//   port_role      trunk (to a switch) or edge (to hosts; the default)
//   link_probe     probes over trunks go to the controller
//   validity       lengths, checksum, TTL, noise, malformed Raft headers
//   group_lookup   group -> register slot, leader, term
//   member_guard   edge: peer messages only from the member that they name
//   leader_watch   remembers the leader and its term; tells the controller of a new one; answers ticks
//   leader_silence tells the controller of a leader that its followers miss, too
//   term_filter    drops requests of a lower term while the leader is heard
//   client_limit   edge: no more client requests a second than the port's limit
//   read_route     edge: client requests that only read go to the members in turn
//   leader_route   edge: client requests go to the leader
//   configuration  edge: the group's committed members, told by its leader, go to the controller
//   append_fanout  a leader's AppendEntries to everybody is copied along a tree
//   leader_gone    edge: a host's own word that no member is there any more goes to the controller
//   ipv4_forward   longest prefix match
//   ack_gather     at the leader's own switch, acknowledgements of entries go on together once a quorum has news
//   drop_count     every drop under its reason
//                |
//   fanout_copy    egress: each copy gets its member's address; what leaves is counted by port
//
// The safety rule: a switch may drop, duplicate, reorder and delay any packet, redirect client requests, and carry an
// acknowledgement in another one's packet, as it was sent. Of a Raft header or payload it changes one field only: a copy
// of what a leader sent to everybody names its receiver as target.
// It never invents a vote, an acknowledgement or an entry. All of its state is soft: with every table but ipv4_lpm
// empty, packets just pass.
//
// The Raft header (UDP port 26410) is drawn in docs/wire.md and parsed in include/headers.p4.

#include <core.p4>
#include <v1model.p4>

#include "include/constants.p4"
#include "include/reasons.p4"
#include "include/headers.p4"
#include "include/parser.p4"
#include "include/checksums.p4"
#include "include/packet_io.p4"
#include "include/message_count.p4"
#include "include/port_role.p4"
#include "include/link_probe.p4"
#include "include/validity.p4"
#include "include/group_lookup.p4"
#include "include/member_guard.p4"
#include "include/leader_watch.p4"
#include "include/leader_silence.p4"
#include "include/term_filter.p4"
#include "include/update_udp_checksum.p4"
#include "include/client_limit.p4"
#include "include/read_route.p4"
#include "include/leader_route.p4"
#include "include/configuration.p4"
#include "include/append_fanout.p4"
#include "include/leader_gone.p4"
#include "include/ipv4_forward.p4"
#include "include/ack_gather.p4"
#include "include/drop_count.p4"
#include "include/fanout_copy.p4"
#include "include/egress.p4"

control ingress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  counter(PORTS, CounterType.packets_and_bytes) port_rx;

  apply {
    port_rx.count((bit<32>)standard_metadata.ingress_port);
    packet_io.apply(hdr, meta, standard_metadata);
    if (!meta.tick && meta.drop_reason == DropReason.none) {
      message_count.apply(hdr);
      port_role.apply(meta, standard_metadata);
      link_probe.apply(hdr, meta, standard_metadata);
    }
    if (!meta.tick && meta.drop_reason == DropReason.none) {
      validity.apply(hdr, meta, standard_metadata);
    }
    if (hdr.raft.isValid() && meta.drop_reason == DropReason.none) {
      group_lookup.apply(hdr, meta);
      member_guard.apply(hdr, meta, standard_metadata);
    }
    if (meta.tick || (meta.group_known && meta.drop_reason == DropReason.none)) {
      leader_watch.apply(hdr, meta, standard_metadata);
      leader_silence.apply(hdr, meta, standard_metadata);
      term_filter.apply(hdr, meta);
    }
    if (hdr.raft.isValid() && meta.drop_reason == DropReason.none) {
      client_limit.apply(hdr, meta, standard_metadata);
    }
    if (hdr.raft.isValid() && meta.drop_reason == DropReason.none) {
      read_route.apply(hdr, meta);
      if (!meta.spread) {
        leader_route.apply(hdr, meta);
      }
      configuration.apply(hdr, meta, standard_metadata);
      append_fanout.apply(hdr, meta, standard_metadata);
    }
    if (meta.drop_reason == DropReason.none) {
      leader_gone.apply(hdr, meta, standard_metadata);
    }
    if (!meta.fanout && meta.drop_reason == DropReason.none) {
      ipv4_forward.apply(hdr, meta, standard_metadata);
    }
    if (hdr.ack.isValid() && meta.group_known && meta.registered && meta.drop_reason == DropReason.none) {
      ack_gather.apply(hdr, meta, standard_metadata);
    }
    drop_count.apply(meta, standard_metadata);
  }
}

V1Switch(raft_parser(), verify_ipv4_checksum(), ingress(), egress(), compute_ipv4_checksum(),
         raft_deparser()) main;
