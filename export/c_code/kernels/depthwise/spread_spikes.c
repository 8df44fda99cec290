#include "lane.h"
#include "lowest_bit.h"
#include "spread.h"

#if defined(SPREAD_ROWS)
/* Spikes of 16 channels as int8 numbers. */
static inline sixteen_bytes_t spikes_as_bytes(uint32_t spikes)
{
#if defined(__ARM_FEATURE_MVE)
    uint32_t down = spikes >> 16;
    return vdupq_m_n_s8(vdupq_m_n_s8(vdupq_n_s8(0), 1, (mve_pred16_t)spikes), -1, (mve_pred16_t)down);
#else
    __m128i bit = _mm_set1_epi64x((int64_t)0x8040201008040201), bytes = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m128i both = _mm_set1_epi32((int32_t)spikes);
    __m128i up = _mm_shuffle_epi8(both, bytes), down = _mm_shuffle_epi8(both, _mm_add_epi8(bytes, _mm_set1_epi8(2)));
    up = _mm_cmpeq_epi8(_mm_and_si128(up, bit), bit), down = _mm_cmpeq_epi8(_mm_and_si128(down, bit), bit);
    return _mm_sub_epi8(down, up);
#endif
}

/* A row of spikes as int8 numbers, those of several sources added up; pixels of silence, too. */
static uint32_t spread_spikes(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                              int32_t number, half_t *const *rows)
{
    const window_t *window = &layer->window;
    int32_t words = layer->blocks, source, x, word;
    uint32_t events = 0;
    for (source = 0; source < layer->sources; source++) {
        const word_t *spikes = (const word_t *)(const void *)(base + in[source]);
        int8_t *row = (int8_t *)(void *)rows[0];
        spikes += (y * window->width * parts + number) * words;
        for (x = 0; x < window->width; x++, spikes += (parts - 1) * words) {
            for (word = 0; word < words; word++, row += 16) {
                sixteen_bytes_t bytes = spikes_as_bytes(*spikes++);
                events += bytes_not_zero(bytes);
                store_bytes(row, source == 0 ? bytes : added_bytes(load_bytes(row), bytes));
            }
        }
    }
    return events;
}
#else
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

#define ADD_BYTE(SUM, ROTATED) "sxtab %[one], %[one], %[packed]" ROTATED "\n\tstrh %[one], " SUM "\n\t"
#define WORD_PLUS
#define WORD_MINUS "usub8 %[packed], %[zero], %[packed]\n\t"
#define THREE(SIGN, ROW, AT)                                                                                           \
    "ldr %[packed], [%[weight], #" AT "]\n\t" WORD_##SIGN "ldrh %[one], [%[" #ROW "]]\n\t" ADD_BYTE("[%[" #ROW "]]", "")   \
    "ldrh %[one], [%[" #ROW "], %[lanes]]\n\t" ADD_BYTE("[%[" #ROW "], %[lanes]]", ", ror #8")                          \
    "ldrh %[one], [%[" #ROW "], %[lanes], lsl #1]\n\t" ADD_BYTE("[%[" #ROW "], %[lanes], lsl #1]", ", ror #16")
/* gcc would have too few registers left for what goes on from channel to channel. */
#define NINE(SIGN)                                                                                                     \
    {                                                                                                                  \
        uint32_t packed, one;                                                                                          \
        __asm__ volatile(THREE(SIGN, above, "0") THREE(SIGN, level, "4") THREE(SIGN, below, "8")                       \
                         : [packed] "=&r"(packed), [one] "=&r"(one)                                                    \
                         : [above] "r"(above + LANE(channel)), [level] "r"(level + LANE(channel)),                     \
                           [below] "r"(below + LANE(channel)), [lanes] "r"(2 * lanes),                                 \
                           [weight] "r"(weights + 12 * channel), [zero] "r"(0)                                         \
                         : "memory");                                                                                  \
    }
#else
#define THREE(SIGN, ROW) sum = (ROW) + LANE(channel); TAP(SIGN, 0) TAP(SIGN, lanes) TAP(SIGN, 2 * lanes)
#define NINE(SIGN)                                                                                                     \
    {                                                                                                                  \
        const int8_t *weight = weights + channel;                                                                      \
        half_t *sum;                                                                                                   \
        THREE(SIGN, above) THREE(SIGN, level) THREE(SIGN, below)                                                       \
    }
#endif
#define ADDED_PLUS +
#define ADDED_MINUS -
#define TAP(SIGN, AT) sum[AT] = (half_t)(sum[AT] ADDED_##SIGN *weight); weight += 16;
#define NINE_TAPS_EACH(SIGN, BITS)                                                                                     \
    for (bits = BITS; bits != 0; bits &= bits - 1, events++) {                                                         \
        int32_t channel = lowest_bit(bits);                                                                            \
        NINE(SIGN)                                                                                                     \
    }
#define TAPS_EACH(SIGN, BITS)                                                                                          \
    for (bits = BITS; bits != 0; bits &= bits - 1, events++) {                                                         \
        int32_t channel = lowest_bit(bits);                                                                            \
        const int8_t *weight = weights + channel;                                                                      \
        for (ky = 0; ky < taps_y; ky++) {                                                                              \
            half_t *sum = rows[ky] + first + LANE(channel);                                                            \
            for (kx = 0; kx < taps_x; kx++, sum += lanes) {                                                            \
                TAP(SIGN, 0)                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
    }

/* Adds the weights of the channels that fire, or takes them, to the sums around a pixel, of 16 channels: three in each of
 * three rows, from where they begin. Returns how many fire. */
APART_FROM_LOOPS static uint32_t scatter_nine(uint32_t spikes, const int8_t *weights, half_t *const *rows, int32_t first,
                                              int32_t lanes)
{
    half_t *above = rows[0] + first, *level = rows[1] + first, *below = rows[2] + first;
    uint32_t events = 0, bits;
    NINE_TAPS_EACH(PLUS, spikes & 0xFFFFu)
    NINE_TAPS_EACH(MINUS, spikes >> 16)
    return events;
}

/* The same with any window; rows: where it begins in each row of sums. */
APART_FROM_LOOPS static uint32_t scatter_any(uint32_t spikes, const int8_t *weights, half_t *const *rows,
                                             const window_t *window, int32_t lanes, int32_t first)
{
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;
    uint32_t events = 0, bits;
    TAPS_EACH(PLUS, spikes & 0xFFFFu)
    TAPS_EACH(MINUS, spikes >> 16)
    return events;
}

static inline uint32_t scatter(uint32_t spikes, const int8_t *weights, half_t *const *rows, const window_t *window,
                               int32_t lanes, int32_t first)
{
    return window->taps_y == 3 && window->taps_x == 3 ? scatter_nine(spikes, weights, rows, first, lanes)
                                                      : scatter_any(spikes, weights, rows, window, lanes, first);
}
/* sums[c] of (y + top - ky, x + left - kx) += weights[ky][kx][c] * spike[y][x][c], only where a spike is */
static uint32_t spread_spikes(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                              int32_t number, half_t *const *rows)
{
    const window_t *window = &layer->window;
    const int8_t *weights = (const int8_t *)layer->weights;
    int32_t block_bytes = 16 * BYTES_OF_CHANNEL(window), words = layer->blocks, lanes = 16 * words, source, x, word;
    uint32_t events = 0;
    for (source = 0; source < layer->sources; source++) {
        const word_t *spikes = (const word_t *)(const void *)(base + in[source]);
        spikes += (y * window->width * parts + number) * words;
        for (x = 0; x < window->width; x++, spikes += (parts - 1) * words) {
            for (word = 0; word < words; word++) {
                uint32_t both = *spikes++;
                if (both != 0)
                    events += scatter(both, weights + word * block_bytes, rows, window, lanes, x * lanes + 16 * word);
            }
        }
    }
    return events;
}
#endif
