#include "p4_hash.h"

#include <pthread.h>

static uint16_t arc[256], ccitt[256];
static uint32_t ethernet[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Tables for one byte; the reflected polynomials shift right, CCITT's left. */
static void make_tables(void) {
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned a = byte, c = byte << 8;
        uint32_t e = byte;
        for (int bit = 0; bit < 8; bit++) {
            a = a & 1 ? a >> 1 ^ 0xa001 : a >> 1;
            c = c & 0x8000 ? c << 1 ^ 0x1021 : c << 1;
            e = e & 1 ? e >> 1 ^ 0xedb88320u : e >> 1;
        }
        arc[byte] = (uint16_t)a;
        ccitt[byte] = (uint16_t)c;
        ethernet[byte] = e;
    }
}

uint64_t p4_hash_crc16(const uint8_t *data, size_t size) {
    uint16_t crc = 0;
    pthread_once(&once, make_tables);
    for (size_t i = 0; i < size; i++) crc = (uint16_t)(crc >> 8 ^ arc[(crc ^ data[i]) & 0xff]);
    return crc;
}

uint64_t p4_hash_crcCCITT(const uint8_t *data, size_t size) {
    uint16_t crc = 0xffff;
    pthread_once(&once, make_tables);
    for (size_t i = 0; i < size; i++) crc = (uint16_t)(crc << 8 ^ ccitt[(crc >> 8 ^ data[i]) & 0xff]);
    return crc;
}

uint64_t p4_hash_crc32(const uint8_t *data, size_t size) {
    uint32_t crc = ~0u;
    pthread_once(&once, make_tables);
    for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ ethernet[(crc ^ data[i]) & 0xff];
    return ~crc;
}

uint64_t p4_csum_bytes(const uint8_t *data, size_t size) {
    uint64_t sum = 0;
    for (; size >= 4; data += 4, size -= 4) sum += p4_load4(data);
    if (size >= 2) {
        sum += p4_load2(data);
        data += 2;
        size -= 2;
    }
    return size ? sum + ((uint64_t)data[0] << 8) : sum;
}

uint64_t p4_hash_csum16(const uint8_t *data, size_t size) {
    return ~p4_csum_fold(p4_csum_bytes(data, size)) & 0xffff;
}

static uint64_t xor_words(const uint8_t *data, size_t size, unsigned word) {
    uint64_t x = 0;
    for (size_t i = 0; i < size; i++) x ^= (uint64_t)data[i] << 8 * (word - 1 - i % word);
    return x;
}

uint64_t p4_hash_xor16(const uint8_t *data, size_t size) { return xor_words(data, size, 2); }
uint64_t p4_hash_xor32(const uint8_t *data, size_t size) { return xor_words(data, size, 4); }

uint64_t p4_hash_identity(const uint8_t *data, size_t size) {
    uint64_t v = 0;
    for (size_t i = 0; i < size && i < 8; i++) v = v << 8 | data[i];
    return v;
}
