/* Products of bfloat16 matrices on AMX tiles, sums in float: 16 rows of 32 numbers times 32 rows of 16. */
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;
enum { LANES = 16, DEPTH = 32, TILE = LANES * DEPTH }; /* floats in a register; products of a tile; its bf16 */

static inline bf16 to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16; /* to the nearest, ties to even */
}

/* Tiles 0 to 5, results and left factors, have `rows` rows; 6 and 7, right factors, have 16. */
static void configure(int rows) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } __attribute__((packed, aligned(64))) tiles;
    memset(&tiles, 0, sizeof tiles);
    tiles.palette = 1;
    for (int tile = 0; tile < 8; tile++) {
        tiles.bytes[tile] = 64;
        tiles.rows[tile] = tile < 6 ? rows : 16;
    }
    _tile_loadconfig(&tiles);
}

/* right[chunk][block] as a tile: rows of pairs. value(k, n) = right[k / 2][n][k % 2] */
static inline int in_tile(int k, int n) { return k / 2 * DEPTH + n * 2 + k % 2; }

/* out[m][rows][16 * blocks] = sum over chunks of left[m][offset[chunk]][rows][32] * right[chunk][32][16 * blocks].
 * left_step, out_step: bytes from one row to the next. Two left factors and two blocks at a time. */
static void multiply(int count, const bf16 *const *left, long left_step, int chunks, const int *offset,
                     const bf16 *right, int blocks, float *const *out, long out_step) {
    for (int n = 0; n < blocks; n += 2)
        for (int m = 0; m < count; m += 2) {
            int wide = n + 1 < blocks, tall = m + 1 < count;
            const bf16 *a = left[m], *b = left[m + tall], *tile = right + (long)n * TILE;
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (int c = 0; c < chunks; c++, tile += blocks * TILE) {
                _tile_loadd(4, a + offset[c], left_step);
                _tile_loadd(6, tile, 64);
                _tile_dpbf16ps(0, 4, 6);
                if (wide) {
                    _tile_loadd(7, tile + TILE, 64);
                    _tile_dpbf16ps(1, 4, 7);
                }
                if (tall) {
                    _tile_loadd(5, b + offset[c], left_step);
                    _tile_dpbf16ps(2, 5, 6);
                    if (wide) _tile_dpbf16ps(3, 5, 7);
                }
            }
            _tile_stored(0, out[m] + n * LANES, out_step);
            if (wide) _tile_stored(1, out[m] + n * LANES + LANES, out_step);
            if (tall) _tile_stored(2, out[m + 1] + n * LANES, out_step);
            if (tall && wide) _tile_stored(3, out[m + 1] + n * LANES + LANES, out_step);
        }
}

/* Sixteen channels of two pixels, channel by channel: a0 b0 a1 b1 ... */
static inline __m512i pairs(const bf16 *a, const bf16 *b) {
    const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38,
                                           6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    __m512i one = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)a));
    __m512i other = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)b));
    return _mm512_permutex2var_epi16(one, order, other);
}

/* to[channel * plane + pixel] = from[pixel * step + channel] for 16 pixels and 16 channels. */
static inline void transpose(const bf16 *from, long step, bf16 *to, long plane) {
    __m512i rows[8],
        quads[8]; /* pixel pairs; quads[h + c] holds channels c, c + 4, c + 8 and c + 12 of four pairs */
    for (int i = 0; i < 8; i++) rows[i] = pairs(from + 2 * i * step, from + (2 * i + 1) * step);
    for (int h = 0; h < 8; h += 4) {
        __m512i low = _mm512_unpacklo_epi32(rows[h], rows[h + 1]),
                high = _mm512_unpackhi_epi32(rows[h], rows[h + 1]);
        __m512i low2 = _mm512_unpacklo_epi32(rows[h + 2], rows[h + 3]);
        __m512i high2 = _mm512_unpackhi_epi32(rows[h + 2], rows[h + 3]);
        quads[h] = _mm512_unpacklo_epi64(low, low2), quads[h + 1] = _mm512_unpackhi_epi64(low, low2);
        quads[h + 2] = _mm512_unpacklo_epi64(high, high2), quads[h + 3] = _mm512_unpackhi_epi64(high, high2);
    }
#define STORE(c, lane)                                                                                     \
    _mm_storeu_si128((__m128i *)(to + (4 * lane + c) * plane), _mm512_extracti32x4_epi32(quads[c], lane)); \
    _mm_storeu_si128((__m128i *)(to + (4 * lane + c) * plane + 8), _mm512_extracti32x4_epi32(quads[4 + c], lane));
#define LANE(lane) STORE(0, lane) STORE(1, lane) STORE(2, lane) STORE(3, lane)
    LANE(0) LANE(1) LANE(2) LANE(3)
#undef LANE
#undef STORE
}
