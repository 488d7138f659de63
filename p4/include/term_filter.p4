// Drops peer requests of a lower term while the leader of a higher one is heard (leader_watch.p4 knows). Replies pass:
// whoever asked needs to hear of the higher term that they carry.
#ifndef TERM_FILTER_P4_
#define TERM_FILTER_P4_

#include "headers.p4"

control term_filter(in headers_t hdr, inout metadata_t meta) {
  action drop_stale() {
    meta.drop_reason = DropReason.stale_term;
  }

  action no_filter() {
  }

  table term_filter {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      drop_stale;
      @defaultonly no_filter;
    }
    const default_action = no_filter();
    size = GROUPS;
  }

  apply {
    bool request = hdr.raft.type == MessageType.append_entries || hdr.raft.type == MessageType.install_snapshot ||
                   hdr.raft.type == MessageType.pre_vote || hdr.raft.type == MessageType.request_vote ||
                   hdr.raft.type == MessageType.timeout_now || hdr.raft.type == MessageType.configuration;
    if (meta.stale && request) {
      term_filter.apply();
    }
  }
}

#endif  // TERM_FILTER_P4_
