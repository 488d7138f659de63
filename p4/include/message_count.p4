// Counts every Raft message by its type, valid or not, where it enters the switch.
#ifndef MESSAGE_COUNT_P4_
#define MESSAGE_COUNT_P4_

#include "headers.p4"

control message_count(in headers_t hdr) {
  counter(MESSAGE_TYPES, CounterType.packets_and_bytes) messages;

  apply {
    if (hdr.raft.isValid()) {
      if (hdr.raft.type < LAST_COUNTED_TYPE) {
        messages.count((bit<32>)hdr.raft.type);
      } else {
        messages.count((bit<32>)LAST_COUNTED_TYPE);
      }
    }
  }
}

#endif  // MESSAGE_COUNT_P4_
