// At edge ports a peer message, and a reply to a client, must come from the member that it names: the same id,
// address and port as registered. Dropping begins with the group's enforce entry, written after its last member.
#ifndef MEMBER_GUARD_P4_
#define MEMBER_GUARD_P4_

#include "headers.p4"

control member_guard(in headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
  direct_counter(CounterType.packets_and_bytes) member_counter;

  action is_member() {
    member_counter.count();
    meta.registered = true;
  }

  action not_a_member() {
    member_counter.count();
    meta.registered = false;
  }

  table members {
    key = {
      hdr.raft.group: exact @name("group");
      hdr.raft.source: exact @name("source");
      hdr.ipv4.src_addr: exact @name("address");
      standard_metadata.ingress_port: exact @name("ingress_port");
    }
    actions = {
      is_member;
      @defaultonly not_a_member;
    }
    const default_action = not_a_member();
    counters = member_counter;
    size = MEMBERS;
  }

  action enforce() {
    meta.drop_reason = DropReason.not_member;
  }

  action no_enforce() {
  }

  table guard_enforce {
    key = {
      hdr.raft.group: exact @name("group");
    }
    actions = {
      enforce;
      @defaultonly no_enforce;
    }
    const default_action = no_enforce();
    size = GROUPS;
  }

  apply {
    if (!meta.edge) {
      // The switch at whose edge it entered has checked it.
      meta.registered = true;
    } else if (meta.peer || hdr.raft.type == MessageType.client_reply) {
      members.apply();
      if (!meta.registered) {
        guard_enforce.apply();
      }
    }
  }
}

#endif  // MEMBER_GUARD_P4_
