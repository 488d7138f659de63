// Remembers the term and leader of the last accepted AppendEntries or InstallSnapshot of each group, and tells the
// controller. A message is accepted if its term is not lower than the remembered one, or if nothing was accepted for a
// window. Only accepted messages of registered members write, and votes never do: so whatever a switch has learnt can
// stand against a live leader for one window at most. What it has learnt goes to the controller as a digest until the
// group's entry says the same.
#ifndef LEADER_WATCH_P4_
#define LEADER_WATCH_P4_

#include "headers.p4"
#include "packet_io.p4"

control leader_watch(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
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

  action watch(time_us_t window_us) {
    window = window_us;
  }

  action no_watch() {
  }

  table leader_watch {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      watch;
      @defaultonly no_watch;
    }
    const default_action = no_watch();
    size = GROUPS;
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
      // The answer is the one way for a P4Runtime client to see registers that every target has.
      to_controller.apply(hdr, standard_metadata, ControllerKind.registers, meta.slot, leader, term, heard_at);
      exit;
    }

    if (leader_watch.apply().hit && meta.registered) {
      bool from_leader = hdr.raft.type == MessageType.append_entries || hdr.raft.type == MessageType.install_snapshot;
      bool lapsed = leader == NOBODY || now - heard_at > window;
      meta.stale = hdr.raft.term < term && !lapsed;
      meta.to_silent = lapsed && leader != NOBODY && hdr.raft.target == leader && !from_leader;
      meta.heard_leader = leader;
      meta.heard_term = term;
      if (from_leader && !meta.stale) {
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

#endif  // LEADER_WATCH_P4_
