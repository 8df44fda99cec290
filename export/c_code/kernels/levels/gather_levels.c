#include "listed_levels.h"
#include "vectors.h"

/* Sums as in sums.h: a word is the number low + 65536 * high modulo 2^32, and stays one when it is multiplied. Weights of
 * a row stand in the order of sums.h; w + 128 but for vectors. */
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

APART_FROM_LOOPS static void add_block(const word_t *from, word_t *sums, const uint32_t *weights, const word_t *event,
                                       int32_t total)
{
    static const uint16_t order_of_bytes[8] = {0, 2, 1, 3, 4, 6, 5, 7};
    const int16_t *begun = (const int16_t *)(const void *)from;
    int16_t *halves = (int16_t *)(void *)sums;
    uint16x8_t order = vldrhq_u16(order_of_bytes);
    int16x8_t low = vldrhq_gather_shifted_offset_s16(begun, order);
    int16x8_t high = vldrhq_gather_shifted_offset_s16(begun + 8, order);
    (void)total;
    for (; *event != 0; event++) {
        const int8_t *row = EVENT_ROW(weights, *event);
        int16_t level = (int16_t)EVENT_LEVEL(*event);
        low = vmlaq_n_s16(low, vldrbq_s16(row), level);
        high = vmlaq_n_s16(high, vldrbq_s16(row + 8), level);
    }
    vstrhq_scatter_shifted_offset_s16(halves, order, low);
    vstrhq_scatter_shifted_offset_s16(halves + 8, order, high);
}
#elif defined(VECTORS_OF_SIXTEEN)
static __m256i level_times(const int8_t *row, __m256i level)
{
    return _mm256_mullo_epi16(widened(row), level);
}

APART_FROM_LOOPS static void add_block(const word_t *from, word_t *sums, const uint32_t *weights, const word_t *event,
                                       int32_t total)
{
    __m256i sum = loaded(from);
    (void)total;
    for (; *event != 0; event++)
        sum = _mm256_add_epi16(sum, level_times(EVENT_ROW(weights, *event), _mm256_set1_epi16((int16_t)EVENT_LEVEL(*event))));
    stored(sums, sum);
}
#else
#ifdef LANES_OF_SIXTEEN
/* low and high of signed lanes as the number, and the other way round: both are less than 2^16 with 2^15 more */
#define NUMBER(LANES_OF_SUMS) ((LANES_OF_SUMS) ^ 0x80008000u)
/* In this order, since gcc would load all words at once and have no registers left for the sums. */
#define PLUS_TIMES(SUM, ODD_SUM, AT)                                                                                   \
    __asm__("ldr %2, [%4, #4 * " #AT "]\n\tuxtb16 %3, %2\n\tmla %0, %3, %5, %0\n\t"                                   \
            "uxtb16 %3, %2, ror #8\n\tmla %1, %3, %5, %1"                                                              \
            : "+r"(SUM), "+r"(ODD_SUM), "=&r"(word), "=&r"(bytes)                                                      \
            : "r"(row), "r"(level), "m"(row[AT]));
#else
#define EVERY_OTHER_BYTE 0x00FF00FFu
#define NUMBER(SUMS) (SUMS)
#define PLUS_TIMES(SUM, ODD_SUM, AT)                                                                                   \
    word = row[AT], bytes = word & EVERY_OTHER_BYTE, SUM += bytes * level;                                             \
    bytes = word >> 8 & EVERY_OTHER_BYTE, ODD_SUM += bytes * level;
#endif

APART_FROM_LOOPS static void add_block(const word_t *from, word_t *sums, const uint32_t *weights, const word_t *event,
                                       int32_t total)
{
    uint32_t offset = 0x00800080u * (uint32_t)total, found, word, bytes; /* 128 for each level, in both halves */
    uint32_t a = NUMBER(from[0]) - offset, b = NUMBER(from[1]) - offset, c = NUMBER(from[2]) - offset;
    uint32_t d = NUMBER(from[3]) - offset, e = NUMBER(from[4]) - offset, f = NUMBER(from[5]) - offset;
    uint32_t g = NUMBER(from[6]) - offset, h = NUMBER(from[7]) - offset;
    while ((found = *event++) != 0) {
        const uint32_t *row = (const uint32_t *)(const void *)EVENT_ROW(weights, found);
        uint32_t level = (uint32_t)EVENT_LEVEL(found);
        PLUS_TIMES(a, b, 0) PLUS_TIMES(c, d, 1) PLUS_TIMES(e, f, 2) PLUS_TIMES(g, h, 3)
    }
    sums[0] = NUMBER(a), sums[1] = NUMBER(b), sums[2] = NUMBER(c), sums[3] = NUMBER(d);
    sums[4] = NUMBER(e), sums[5] = NUMBER(f), sums[6] = NUMBER(g), sums[7] = NUMBER(h);
}
#endif

static void add_level_blocks(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const word_t *list,
                             const word_t *end, int32_t total)
{
    const uint32_t *weights = (const uint32_t *)layer->weights;
    int32_t block;
    (void)end;
    for (block = 0; block < layer->blocks; block++, from += 8, sums += 8, weights += 4 * rows)
        add_block(from, sums, weights, list, total);
}

/* sums[o] = bias[o] + sum of weights[tap][c][o] * level[.][.][c], only where a level is */
static uint32_t gather_levels(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    return listed_levels(layer, base, in, y, x, sums, (word_t *)(void *)list, list_events,
                         add_level_blocks);
}
