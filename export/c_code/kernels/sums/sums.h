#include "vectors.h"
#include "words.h"

/* Sums of 16 channels in 8 words. Channel c has the 16 bits c % 2 of word c / 2: its sum + SUM_ZERO, which the generator
 * has proven to fit. Whatever carries from one into the other meanwhile is taken back by then: a word is the number
 * low + 65536 * high modulo 2^32, and so is every word that is added to it.
 * Four weights of one row are one word: channels 4k, 4k + 2, 4k + 1, 4k + 3, lowest byte first; int8, or where carries
 * are possible w + 128. */
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* sums = from + the rows of spikes +1 - the rows of spikes -1: eight sums a vector, in the order of the bytes */
static void add_rows(const word_t *from, word_t *sums, const uint32_t *weights, const half_t *plus,
                     const half_t *plus_end, const half_t *minus, const half_t *minus_end)
{
    static const uint16_t order_of_bytes[8] = {0, 2, 1, 3, 4, 6, 5, 7};
    const int8_t *rows = (const int8_t *)weights;
    const int16_t *begun = (const int16_t *)(const void *)from;
    int16_t *halves = (int16_t *)(void *)sums;
    uint16x8_t order = vldrhq_u16(order_of_bytes);
    int16x8_t low = vldrhq_gather_shifted_offset_s16(begun, order);
    int16x8_t high = vldrhq_gather_shifted_offset_s16(begun + 8, order);
    while (plus != plus_end) {
        const int8_t *row = rows + 16 * *plus++;
        low = vaddq_s16(low, vldrbq_s16(row));
        high = vaddq_s16(high, vldrbq_s16(row + 8));
    }
    while (minus != minus_end) {
        const int8_t *row = rows + 16 * *minus++;
        low = vsubq_s16(low, vldrbq_s16(row));
        high = vsubq_s16(high, vldrbq_s16(row + 8));
    }
    vstrhq_scatter_shifted_offset_s16(halves, order, low);
    vstrhq_scatter_shifted_offset_s16(halves + 8, order, high);
}
#elif defined(VECTORS_OF_SIXTEEN)
/* sums = from + the rows of spikes +1 - the rows of spikes -1; weights channel by channel */
static void add_rows(const word_t *from, word_t *sums, const uint32_t *weights, const half_t *plus,
                     const half_t *plus_end, const half_t *minus, const half_t *minus_end)
{
    const int8_t *rows = (const int8_t *)weights;
    __m256i sum = loaded(from);
    while (plus != plus_end)
        sum = _mm256_add_epi16(sum, widened(rows + 16 * *plus++));
    while (minus != minus_end)
        sum = _mm256_sub_epi16(sum, widened(rows + 16 * *minus++));
    stored(sums, sum);
}
#else
#ifdef LANES_OF_SIXTEEN
/* A lane for each sum: nothing carries. */
#define PLUS(SUM, ODD_SUM, BYTES)                                                                                      \
    __asm__("sxtab16 %0, %0, %1" : "+r"(SUM) : "r"(BYTES));                                                            \
    __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(ODD_SUM) : "r"(BYTES));
#define FROM(SUM, START) __asm__("usub16 %0, %1, %0" : "+r"(SUM) : "r"(START));
#define ONCE(POINTER) __asm__("" : "+r"(POINTER)); /* gcc would compute it again for the first load */
/* Two words at once, which gcc does for a Cortex-M7 and not for an M4. */
#define PLUS_TWO(ROW, AT, A, B, C, D)                                                                                  \
    {                                                                                                                  \
        uint32_t low, high;                                                                                            \
        __asm__("ldrd %0, %1, %2" : "=r"(low), "=r"(high) : "m"(*(const uint64_t *)(const void *)((ROW) + (AT))));     \
        PLUS(A, B, low) PLUS(C, D, high)                                                                               \
    }
#define OFFSET(ROWS) 0
#else
#define LANES 0x00FF00FFu
#define PLUS(SUM, ODD_SUM, BYTES) SUM += (BYTES) & LANES; ODD_SUM += (BYTES) >> 8 & LANES;
#define FROM(SUM, START) SUM = (START) - SUM;
#define ONCE(POINTER)
#define PLUS_TWO(ROW, AT, A, B, C, D) PLUS(A, B, (ROW)[AT]) PLUS(C, D, (ROW)[(AT) + 1])
#define OFFSET(ROWS) (0x00800080u * (uint32_t)(ROWS)) /* 128 each, in both halves */
#endif
#define ADD_ROWS(EVENT, END)                                                                                           \
    while (EVENT != END) {                                                                                             \
        const uint32_t *row = weights + 4 * *EVENT++;                                                                  \
        ONCE(row)                                                                                                      \
        PLUS_TWO(row, 0, a, b, c, d) PLUS_TWO(row, 2, e, f, g, h)                                                      \
    }

/* sums = from + the rows of spikes +1 - the rows of spikes -1 */
static void add_rows(const word_t *from, word_t *sums, const uint32_t *weights, const half_t *plus,
                     const half_t *plus_end, const half_t *minus, const half_t *minus_end)
{
    uint32_t a = OFFSET((plus_end - plus) - (minus_end - minus)), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    ADD_ROWS(minus, minus_end)
    FROM(a, from[0]) FROM(b, from[1]) FROM(c, from[2]) FROM(d, from[3])
    FROM(e, from[4]) FROM(f, from[5]) FROM(g, from[6]) FROM(h, from[7])
    ADD_ROWS(plus, plus_end)
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    sums[4] = e, sums[5] = f, sums[6] = g, sums[7] = h;
}
#endif
