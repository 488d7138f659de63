// A member that misses its leader asks after it (an AppendEntriesReply unasked). Where the switch has not heard that
// leader for a window either, the controller is told, which finds out whether the leader's host is still there. While a
// leader is heard nothing of this is even looked up: leader_watch.p4 knows.
#ifndef LEADER_SILENCE_P4_
#define LEADER_SILENCE_P4_

#include "headers.p4"

control leader_silence(in headers_t hdr, in metadata_t meta, in standard_metadata_t standard_metadata) {
  register<time_us_t>(GROUPS) silence_told;
  bool tell = false;

  action tell_silence() {
    tell = true;
  }

  action keep_to_itself() {
  }

  table leader_silence {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      tell_silence;
      @defaultonly keep_to_itself;
    }
    const default_action = keep_to_itself();
    size = GROUPS;
  }

  apply {
    if (meta.to_silent && meta.edge && hdr.raft.type == MessageType.append_entries_reply) {
      leader_silence.apply();
      if (tell) {
        time_us_t now = standard_metadata.ingress_global_timestamp;
        time_us_t told_at;
        silence_told.read(told_at, (bit<32>)meta.slot);
        if (told_at == 0 || now - told_at >= DIGEST_PERIOD_US) {
          silence_told.write((bit<32>)meta.slot, now);
          digest<leader_silence_digest_t>(1, { hdr.raft.group, meta.slot, meta.heard_leader, meta.heard_term });
        }
      }
    }
  }
}

#endif  // LEADER_SILENCE_P4_
