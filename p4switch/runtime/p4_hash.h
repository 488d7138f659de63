/* The hash algorithms of v1model over the bytes of a field list, as BMv2 computes them. */
#ifndef P4_HASH_H
#define P4_HASH_H

#include "p4_bits.h"

uint64_t p4_hash_crc16(const uint8_t *data, size_t size);    /* CRC-16/ARC */
uint64_t p4_hash_crcCCITT(const uint8_t *data, size_t size); /* CRC-16/CCITT-FALSE */
uint64_t p4_hash_crc32(const uint8_t *data, size_t size);    /* CRC-32 of Ethernet */
uint64_t p4_hash_csum16(const uint8_t *data, size_t size);   /* the Internet checksum, RFC 1071 */
uint64_t p4_hash_xor16(const uint8_t *data, size_t size);
uint64_t p4_hash_xor32(const uint8_t *data, size_t size);
uint64_t p4_hash_identity(const uint8_t *data, size_t size); /* the first eight bytes as a number */

/* One's complement sum of big-endian 16-bit words, the last byte padded; not yet folded. */
uint64_t p4_csum_bytes(const uint8_t *data, size_t size);

static inline uint64_t p4_csum_fold(uint64_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

#endif
