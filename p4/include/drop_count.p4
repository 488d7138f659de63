// The one place where packets are dropped, each under its reason.
#ifndef DROP_COUNT_P4_
#define DROP_COUNT_P4_

#include "headers.p4"

control drop_count(in metadata_t meta, inout standard_metadata_t standard_metadata) {
  counter(DROP_REASONS, CounterType.packets_and_bytes) drops;

  apply {
    if (meta.drop_reason != DropReason.none) {
      drops.count((bit<32>)(bit<8>)meta.drop_reason);
      mark_to_drop(standard_metadata);
    }
  }
}

#endif  // DROP_COUNT_P4_
