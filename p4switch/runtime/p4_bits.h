/* Bits: big-endian loads and stores, masks, sign extension, shifts that P4 defines for any amount. */
#ifndef P4_BITS_H
#define P4_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t p4_mask(unsigned width) { return width >= 64 ? ~0ULL : (1ULL << width) - 1; }

static inline uint64_t p4_load2(const uint8_t *d) { uint16_t v; memcpy(&v, d, 2); return __builtin_bswap16(v); }
static inline uint64_t p4_load4(const uint8_t *d) { uint32_t v; memcpy(&v, d, 4); return __builtin_bswap32(v); }
static inline uint64_t p4_load8(const uint8_t *d) { uint64_t v; memcpy(&v, d, 8); return __builtin_bswap64(v); }
static inline void p4_store2(uint8_t *d, uint64_t v) { uint16_t b = __builtin_bswap16((uint16_t)v); memcpy(d, &b, 2); }
static inline void p4_store4(uint8_t *d, uint64_t v) { uint32_t b = __builtin_bswap32((uint32_t)v); memcpy(d, &b, 4); }
static inline void p4_store8(uint8_t *d, uint64_t v) { uint64_t b = __builtin_bswap64(v); memcpy(d, &b, 8); }

/* `bytes` (1..8) big-endian bytes; constant `bytes` folds to one or two loads. */
static inline __attribute__((always_inline)) uint64_t p4_load(const uint8_t *d, unsigned bytes) {
    switch (bytes) {
    case 1: return d[0];
    case 2: return p4_load2(d);
    case 3: return p4_load2(d) << 8 | d[2];
    case 4: return p4_load4(d);
    case 5: return p4_load4(d) << 8 | d[4];
    case 6: return p4_load4(d) << 16 | p4_load2(d + 4);
    case 7: return p4_load4(d) << 24 | p4_load2(d + 4) << 8 | d[6];
    default: return p4_load8(d);
    }
}

static inline __attribute__((always_inline)) void p4_store(uint8_t *d, unsigned bytes, uint64_t v) {
    switch (bytes) {
    case 1: d[0] = (uint8_t)v; break;
    case 2: p4_store2(d, v); break;
    case 3: p4_store2(d, v >> 8); d[2] = (uint8_t)v; break;
    case 4: p4_store4(d, v); break;
    case 5: p4_store4(d, v >> 8); d[4] = (uint8_t)v; break;
    case 6: p4_store4(d, v >> 16); p4_store2(d + 4, v); break;
    case 7: p4_store4(d, v >> 24); p4_store2(d + 4, v >> 8); d[6] = (uint8_t)v; break;
    default: p4_store8(d, v); break;
    }
}

/* `width` bits (0..64) from bit `at` of d on, most significant first. */
static inline uint64_t p4_get_bits(const uint8_t *d, uint64_t at, unsigned width) {
    uint64_t v = 0;
    while (width > 0) {
        unsigned offset = at & 7, take = 8 - offset < width ? 8 - offset : width;
        v = v << take | ((unsigned)d[at >> 3] >> (8 - offset - take) & ((1u << take) - 1));
        at += take;
        width -= take;
    }
    return v;
}

/* Write the low `width` bits of v from bit `at` of d on; the other bits of d stay. */
static inline void p4_put_bits(uint8_t *d, uint64_t at, unsigned width, uint64_t v) {
    while (width > 0) {
        unsigned offset = at & 7, take = 8 - offset < width ? 8 - offset : width, low = 8 - offset - take;
        uint8_t mask = (uint8_t)(((1u << take) - 1) << low);
        uint8_t bits = (uint8_t)((v >> (width - take)) << low);
        d[at >> 3] = (uint8_t)((d[at >> 3] & ~mask) | (bits & mask));
        at += take;
        width -= take;
    }
}

static inline void p4_copy_bits(uint8_t *to, uint64_t to_bit, const uint8_t *from, uint64_t from_bit, uint64_t width) {
    while (width > 0) {
        unsigned take = width < 64 ? (unsigned)width : 64;
        p4_put_bits(to, to_bit, take, p4_get_bits(from, from_bit, take));
        to_bit += take;
        from_bit += take;
        width -= take;
    }
}

/* Two varbit fields are equal if their lengths are, and their bytes. */
static inline bool p4_same_bits(const uint8_t *a, uint32_t a_bits, const uint8_t *b, uint32_t b_bits) {
    return a_bits == b_bits && !memcmp(a, b, a_bits / 8);
}

static inline int64_t p4_sext(uint64_t v, unsigned width) {
    if (width >= 64) return (int64_t)v;
    uint64_t sign = 1ULL << (width - 1);
    return (int64_t)(((v & p4_mask(width)) ^ sign) - sign);
}

static inline uint64_t p4_shl(uint64_t v, uint64_t n) { return n >= 64 ? 0 : v << n; }
static inline uint64_t p4_shr(uint64_t v, uint64_t n) { return n >= 64 ? 0 : v >> n; }
static inline int64_t p4_sar(int64_t v, uint64_t n) {
    unsigned by = n >= 63 ? 63 : (unsigned)n;
    return v >= 0 ? (int64_t)((uint64_t)v >> by) : (int64_t)~(~(uint64_t)v >> by);
}
/* BMv2 stops at a division by zero; here it gives 0. */
static inline uint64_t p4_div(uint64_t a, uint64_t b) { return b ? a / b : 0; }
static inline uint64_t p4_mod(uint64_t a, uint64_t b) { return b ? a % b : 0; }

/* Where an index into an array of `size` elements and a spare one goes. */
static inline uint64_t p4_index(uint64_t i, uint64_t size) { return i < size ? i : size; }

static inline uint64_t p4_umin(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline int64_t p4_clamp(int64_t v, int64_t low, int64_t high) { return v < low ? low : v > high ? high : v; }

/* splitmix64: one more number from a state; the state may begin anywhere. */
static inline uint64_t p4_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

#endif
