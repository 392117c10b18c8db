/* CRC-64/XZ, as OSS computes it, fast enough to cost next to nothing: carry-less multiplication where there is one.
 *
 * Polynomials stand reflected: bit 63 is x^0. All constants are computed at the start, so none can be mistyped.
 */
#ifndef BENCH_CRC64_H
#define BENCH_CRC64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CRC64_POLYNOMIAL 0xC96C5795D7870F42u
#define CRC64_ONE (1ull << 63)
#define LANES 8 /* of 16 bytes, folded side by side: that hides the multiplier's delay */

static uint64_t crc64_table[8][256];
static uint64_t crc64_fold[LANES][2]; /* to move 16 bytes ahead by 1..LANES times 16 bytes */
static int crc64_has_clmul;

static uint64_t crc64_multiply(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    for (; a; a <<= 1) {
        if (a & CRC64_ONE) product ^= b;
        b = (b >> 1) ^ ((b & 1) ? CRC64_POLYNOMIAL : 0);
    }
    return product;
}

static uint64_t crc64_x_to_the(uint64_t power) {
    uint64_t result = CRC64_ONE, square = CRC64_ONE >> 1;
    for (; power; power >>= 1) {
        if (power & 1) result = crc64_multiply(result, square);
        square = crc64_multiply(square, square);
    }
    return result;
}

/* The CRC-64 of two byte strings laid end to end. */
static uint64_t crc64_combine(uint64_t first, uint64_t second, uint64_t second_size) {
    return crc64_multiply(first, crc64_x_to_the(8 * second_size)) ^ second;
}

static void crc64_start(void) {
    for (int byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? CRC64_POLYNOMIAL : 0);
        crc64_table[0][byte] = crc;
    }
    for (int byte = 0; byte < 256; byte++)
        for (int ahead = 1; ahead < 8; ahead++) {
            uint64_t crc = crc64_table[ahead - 1][byte];
            crc64_table[ahead][byte] = crc64_table[0][crc & 0xFF] ^ (crc >> 8);
        }
    /* A product of two reflected polynomials comes out one bit low, hence the 1 that is taken away. */
    for (int lane = 0; lane < LANES; lane++) {
        crc64_fold[lane][0] = crc64_x_to_the(128 * (lane + 1) + 63);
        crc64_fold[lane][1] = crc64_x_to_the(128 * (lane + 1) - 1);
    }
#if defined(__x86_64__)
    crc64_has_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static uint64_t crc64_by_table(const uint8_t *data, size_t size, uint64_t state) {
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8); /* little-endian machines only, as all that this runs on */
        word ^= state;
        state = 0;
        for (int byte = 0; byte < 8; byte++) state ^= crc64_table[7 - byte][(word >> (8 * byte)) & 0xFF];
    }
    while (size--) state = crc64_table[0][(state ^ *data++) & 0xFF] ^ (state >> 8);
    return state;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("pclmul,sse4.1"))) static inline __m128i crc64_ahead(__m128i value, __m128i by) {
    return _mm_xor_si128(_mm_clmulepi64_si128(value, by, 0x00), _mm_clmulepi64_si128(value, by, 0x11));
}

__attribute__((target("pclmul,sse4.1"))) static uint64_t crc64_by_clmul(
    const uint8_t *data, size_t size, uint64_t state) {
    __m128i lane[LANES];
    const __m128i far = _mm_loadu_si128((const __m128i *)crc64_fold[LANES - 1]);
    for (int i = 0; i < LANES; i++) lane[i] = _mm_loadu_si128((const __m128i *)data + i);
    lane[0] = _mm_xor_si128(lane[0], _mm_set_epi64x(0, (long long)state));
    for (data += 16 * LANES, size -= 16 * LANES; size >= 16 * LANES; data += 16 * LANES, size -= 16 * LANES)
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++)
            lane[i] = _mm_xor_si128(crc64_ahead(lane[i], far), _mm_loadu_si128((const __m128i *)data + i));
    __m128i folded = lane[LANES - 1];
    for (int i = 0; i < LANES - 1; i++) {
        const __m128i by = _mm_loadu_si128((const __m128i *)crc64_fold[LANES - 2 - i]);
        folded = _mm_xor_si128(folded, crc64_ahead(lane[i], by));
    }
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, folded);
    return crc64_by_table(data, size, crc64_by_table(rest, sizeof rest, 0));
}
#endif

/* The CRC-64 of the bytes, continuing from the previous one (0 at first). */
static uint64_t crc64(const void *data, size_t size, uint64_t previous) {
#if defined(__x86_64__)
    if (crc64_has_clmul && size >= 32 * LANES) return ~crc64_by_clmul(data, size, ~previous);
#endif
    return ~crc64_by_table(data, size, ~previous);
}

#endif
