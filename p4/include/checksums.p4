// The IPv4 header's checksum; UDP's is updated where an address changes (update_udp_checksum.p4).
#ifndef CHECKSUMS_P4_
#define CHECKSUMS_P4_

#include "headers.p4"

#define IPV4_CHECKSUM_FIELDS                                                                 \
  { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.diffserv, hdr.ipv4.total_len,                   \
    hdr.ipv4.identification, hdr.ipv4.flags, hdr.ipv4.frag_offset, hdr.ipv4.ttl,             \
    hdr.ipv4.protocol, hdr.ipv4.src_addr, hdr.ipv4.dst_addr }

control verify_ipv4_checksum(inout headers_t hdr, inout metadata_t meta) {
  apply {
    // Options (ihl above 5) are not parsed; validity drops such a packet for its own reason.
    verify_checksum(hdr.ipv4.isValid() && hdr.ipv4.ihl == 5, IPV4_CHECKSUM_FIELDS, hdr.ipv4.checksum,
                    HashAlgorithm.csum16);
  }
}

control compute_ipv4_checksum(inout headers_t hdr, inout metadata_t meta) {
  apply {
    update_checksum(hdr.ipv4.isValid(), IPV4_CHECKSUM_FIELDS, hdr.ipv4.checksum, HashAlgorithm.csum16);
  }
}

#endif  // CHECKSUMS_P4_
