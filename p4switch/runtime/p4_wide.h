/* Numbers of more than 64 bits: arrays of 64-bit limbs, least significant first, two's complement.
 * One expression computes in one number of limbs n, wide enough for every intermediate value. */
#ifndef P4_WIDE_H
#define P4_WIDE_H

#include "p4_bits.h"

static inline void p4w_set(uint64_t *r, unsigned n, uint64_t v) {
    r[0] = v;
    for (unsigned i = 1; i < n; i++) r[i] = 0;
}

static inline void p4w_set_signed(uint64_t *r, unsigned n, int64_t v) {
    r[0] = (uint64_t)v;
    for (unsigned i = 1; i < n; i++) r[i] = v < 0 ? ~0ULL : 0;
}

/* From m limbs to n, with zeros above. */
static inline void p4w_copy(uint64_t *r, unsigned n, const uint64_t *a, unsigned m) {
    for (unsigned i = 0; i < n; i++) r[i] = i < m ? a[i] : 0;
}

/* Keep the low `width` bits. */
static inline void p4w_trim(uint64_t *r, unsigned n, unsigned width) {
    for (unsigned i = 0; i < n; i++) {
        unsigned from = i * 64;
        r[i] &= width <= from ? 0 : p4_mask(width - from);
    }
}

/* Take the low `width` bits as a signed number. */
static inline void p4w_sext(uint64_t *r, unsigned n, unsigned width) {
    if (width == 0 || width >= n * 64) return;
    bool negative = r[(width - 1) / 64] >> ((width - 1) % 64) & 1;
    p4w_trim(r, n, width);
    if (!negative) return;
    for (unsigned i = 0; i < n; i++) {
        unsigned from = i * 64;
        r[i] |= width <= from ? ~0ULL : ~p4_mask(width - from);
    }
}

static inline void p4w_add(uint64_t *r, unsigned n, const uint64_t *a, const uint64_t *b) {
    unsigned carry = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t s = a[i] + b[i], t = s + carry;
        carry = (s < a[i]) | (t < s);
        r[i] = t;
    }
}

static inline void p4w_not(uint64_t *r, unsigned n, const uint64_t *a) {
    for (unsigned i = 0; i < n; i++) r[i] = ~a[i];
}

static inline void p4w_sub(uint64_t *r, unsigned n, const uint64_t *a, const uint64_t *b) {
    unsigned borrow = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t d = a[i] - b[i], t = d - borrow;
        borrow = (a[i] < b[i]) | (d < borrow);
        r[i] = t;
    }
}

static inline void p4w_mul(uint64_t *r, unsigned n, const uint64_t *a, const uint64_t *b) {
    uint64_t product[n];
    memset(product, 0, sizeof product);
    for (unsigned i = 0; i < n; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; i + j < n; j++) {
            unsigned __int128 t = (unsigned __int128)a[i] * b[j] + product[i + j] + carry;
            product[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
    }
    memcpy(r, product, sizeof product);
}

static inline void p4w_and(uint64_t *r, unsigned n, const uint64_t *a, const uint64_t *b) {
    for (unsigned i = 0; i < n; i++) r[i] = a[i] & b[i];
}
static inline void p4w_or(uint64_t *r, unsigned n, const uint64_t *a, const uint64_t *b) {
    for (unsigned i = 0; i < n; i++) r[i] = a[i] | b[i];
}
static inline void p4w_xor(uint64_t *r, unsigned n, const uint64_t *a, const uint64_t *b) {
    for (unsigned i = 0; i < n; i++) r[i] = a[i] ^ b[i];
}

static inline bool p4w_negative(const uint64_t *a, unsigned n) { return a[n - 1] >> 63; }

static inline void p4w_shl(uint64_t *r, unsigned n, const uint64_t *a, uint64_t by) {
    uint64_t limbs = by / 64;
    unsigned bits = by % 64;
    for (unsigned i = n; i-- > 0;) {
        uint64_t high = i >= limbs ? a[i - limbs] : 0, low = i >= limbs + 1 ? a[i - limbs - 1] : 0;
        r[i] = bits ? high << bits | low >> (64 - bits) : high;
    }
}

/* Arithmetic: the sign fills. */
static inline void p4w_shr(uint64_t *r, unsigned n, const uint64_t *a, uint64_t by) {
    uint64_t fill = p4w_negative(a, n) ? ~0ULL : 0;
    uint64_t limbs = by / 64;
    unsigned bits = by % 64;
    for (unsigned i = 0; i < n; i++) {
        uint64_t low = limbs < n - i ? a[i + limbs] : fill;
        uint64_t high = limbs < n && limbs + 1 < n - i ? a[i + limbs + 1] : fill;
        r[i] = bits ? low >> bits | high << (64 - bits) : low;
    }
}

/* Signed comparison: -1, 0, 1. */
static inline int p4w_compare(const uint64_t *a, const uint64_t *b, unsigned n) {
    if (p4w_negative(a, n) != p4w_negative(b, n)) return p4w_negative(a, n) ? -1 : 1;
    for (unsigned i = n; i-- > 0;)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

static inline bool p4w_zero(const uint64_t *a, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (a[i]) return false;
    return true;
}

/* Quotient and remainder of numbers that are not negative; by zero both are 0. Either result may be NULL. */
static inline void p4w_divide(uint64_t *quotient, uint64_t *remainder, unsigned n, const uint64_t *a,
                              const uint64_t *b) {
    uint64_t q[n], rest[n], divisor[n];
    memset(q, 0, sizeof q);
    memset(rest, 0, sizeof rest);
    memcpy(divisor, b, sizeof divisor);
    if (!p4w_zero(divisor, n)) {
        for (unsigned bit = n * 64; bit-- > 0;) {
            p4w_shl(rest, n, rest, 1);
            rest[0] |= a[bit / 64] >> (bit % 64) & 1;
            if (p4w_compare(rest, divisor, n) >= 0) {
                p4w_sub(rest, n, rest, divisor);
                q[bit / 64] |= 1ULL << (bit % 64);
            }
        }
    }
    if (quotient) memcpy(quotient, q, sizeof q);
    if (remainder) memcpy(remainder, rest, sizeof rest);
}

/* Clamp to low..high. */
static inline void p4w_clamp(uint64_t *r, unsigned n, const uint64_t *low, const uint64_t *high) {
    if (p4w_compare(r, low, n) < 0) memcpy(r, low, n * sizeof *r);
    else if (p4w_compare(r, high, n) > 0) memcpy(r, high, n * sizeof *r);
}

/* A shift amount or index of any width as 64 bits: the greatest number stands for all greater ones. */
static inline uint64_t p4w_amount(const uint64_t *a, unsigned n) {
    for (unsigned i = 1; i < n; i++)
        if (a[i]) return ~0ULL;
    return a[0];
}

static inline void p4w_get_bits(uint64_t *r, unsigned n, const uint8_t *d, uint64_t at, unsigned width) {
    for (unsigned i = 0; i < n; i++) {
        unsigned have = i * 64;
        if (have >= width) { r[i] = 0; continue; }
        unsigned take = width - have < 64 ? width - have : 64;
        r[i] = p4_get_bits(d, at + width - have - take, take);
    }
}

static inline void p4w_put_bits(uint8_t *d, uint64_t at, unsigned width, const uint64_t *a) {
    for (unsigned i = 0, have = 0; have < width; i++, have += 64) {
        unsigned take = width - have < 64 ? width - have : 64;
        p4_put_bits(d, at + width - have - take, take, a[i]);
    }
}

#endif
