// Remembers the term and leader of the last accepted AppendEntries or InstallSnapshot of each group, and drops peer
// requests of a lower term while that leader is heard. It never learns from votes, only accepted packets write, and a
// lower term is accepted once nothing was for a window: so whatever a switch has learnt can mute a live leader for one
// window at most. What it has learnt goes to the controller as a digest until the group's entry says the same.
#ifndef TERM_FILTER_P4_
#define TERM_FILTER_P4_

#include "headers.p4"

control stale_term_filter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
  register<bit<64>>(GROUPS) heard_term;
  register<bit<8>>(GROUPS) heard_leader;
  register<time_us_t>(GROUPS) last_heard;
  register<time_us_t>(GROUPS) last_digest;

  time_us_t now = standard_metadata.ingress_global_timestamp;
  time_us_t window = 0;
  bit<32> slot = (bit<32>)meta.slot;
  bit<64> term;
  bit<8> leader;
  time_us_t heard_at;

  action filter_terms(time_us_t window_us) {
    window = window_us;
  }

  action no_filter() {
  }

  table term_filter {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      filter_terms;
      @defaultonly no_filter;
    }
    const default_action = no_filter();
    size = GROUPS;
  }

  // The answer to a tick; the one way for a P4Runtime client to see registers that every target has.
  action answer_tick() {
    hdr.packet_in.setValid();
    hdr.packet_in.ingress_port = standard_metadata.ingress_port;
    hdr.packet_in.kind = ControllerKind.registers;
    hdr.packet_in.slot = meta.slot;
    hdr.packet_in.leader = leader;
    hdr.packet_in.term = term;
    hdr.packet_in.last_heard_us = heard_at;
    hdr.packet_in.now_us = now;
    standard_metadata.egress_spec = CPU_PORT;
  }

  action learn() {
    term = hdr.raft.term;
    leader = hdr.raft.source;
    heard_term.write(slot, term);
    heard_leader.write(slot, leader);
    last_heard.write(slot, now);
  }

  apply {
    heard_term.read(term, slot);
    heard_leader.read(leader, slot);
    last_heard.read(heard_at, slot);

    if (meta.tick) {
      answer_tick();
      exit;
    }

    bool from_leader = hdr.raft.type == MessageType.append_entries || hdr.raft.type == MessageType.install_snapshot;
    bool request = from_leader || hdr.raft.type == MessageType.pre_vote ||
                   hdr.raft.type == MessageType.request_vote || hdr.raft.type == MessageType.timeout_now ||
                   hdr.raft.type == MessageType.configuration;
    if (term_filter.apply().hit && meta.registered && request) {
      bool lapsed = leader == NOBODY || now - heard_at > window;
      if (hdr.raft.term < term && !lapsed) {
        meta.drop_reason = DropReason.stale_term;
      } else if (from_leader) {
        learn();
        if (term != meta.term || leader != meta.leader) {
          time_us_t told_at;
          last_digest.read(told_at, slot);
          if (told_at == 0 || now - told_at >= DIGEST_PERIOD_US) {
            last_digest.write(slot, now);
            digest<leader_digest_t>(1, { hdr.raft.group, meta.slot, leader, term });
          }
        }
      }
    }
  }
}

#endif  // TERM_FILTER_P4_
