#include <string.h>

#include "lane.h"
#include "levels.h"
#include "lowest_bit.h"
#include "spread.h"
#include "vectors.h"

/* Adds the weights of 16 channels, each times its level, to the sums around a pixel; bits: where levels are, channels:
 * how many are there. Rows and lanes as in spread_spikes.c. */
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

static uint32_t scatter_levels(uint32_t bits, const int8_t *levels, int32_t channels, const int8_t *weight,
                               half_t *const *rows, const window_t *window, int32_t lanes, int32_t first)
{
    int16x8_t low = vldrbq_z_s16(levels, vctp16q((uint32_t)channels));
    int16x8_t high = vldrbq_z_s16(levels + 8, vctp16q(channels < 8 ? 0u : (uint32_t)channels - 8u));
    int32_t ky, kx;
    for (ky = 0; ky < window->taps_y; ky++) {
        int16_t *sum = (int16_t *)(rows[ky] + first);
        for (kx = 0; kx < window->taps_x; kx++, sum += lanes, weight += 16) {
            vstrhq_s16(sum, vaddq_s16(vldrhq_s16(sum), vmulq_s16(low, vldrbq_s16(weight))));
            vstrhq_s16(sum + 8, vaddq_s16(vldrhq_s16(sum + 8), vmulq_s16(high, vldrbq_s16(weight + 8))));
        }
    }
    return (uint32_t)__builtin_popcount(bits);
}
#elif defined(VECTORS_OF_SIXTEEN)
static uint32_t scatter_levels(uint32_t bits, const int8_t *levels, int32_t channels, const int8_t *weight,
                               half_t *const *rows, const window_t *window, int32_t lanes, int32_t first)
{
    int8_t all[16] = {0};
    __m256i level;
    int32_t ky, kx;
    if (channels < 16)
        memcpy(all, levels, (size_t)channels);
    level = widened(channels < 16 ? all : levels);
    for (ky = 0; ky < window->taps_y; ky++) {
        half_t *sum = rows[ky] + first;
        for (kx = 0; kx < window->taps_x; kx++, sum += lanes, weight += 16)
            stored(sum, _mm256_add_epi16(loaded(sum), _mm256_mullo_epi16(widened(weight), level)));
    }
    return (uint32_t)__builtin_popcount(bits);
}
#else
#ifdef NINE_PACKED
#define TIMES_BYTE(AT, ROTATED)                                                                                        \
    {                                                                                                                  \
        uint32_t one;                                                                                                  \
        __asm__("sxtb %0, %1" ROTATED : "=r"(one) : "r"(packed));                                                      \
        sum[AT] = (half_t)(sum[AT] + one * level);                                                                     \
    }
#define THREE_TIMES(ROW)                                                                                               \
    sum = (ROW) + LANE(channel), packed = *word++;                                                                     \
    TIMES_BYTE(0, ) TIMES_BYTE(lanes, ", ror #8") TIMES_BYTE(2 * lanes, ", ror #16")
#define NINE_TIMES                                                                                                     \
    const word_t *word = (const word_t *)(const void *)weights + 3 * channel;                                          \
    uint32_t packed;
#else
#define TIMES_ONE(AT) sum[AT] = (half_t)(sum[AT] + (uint32_t)*weight * level); weight += 16;
#define THREE_TIMES(ROW) sum = (ROW) + LANE(channel); TIMES_ONE(0) TIMES_ONE(lanes) TIMES_ONE(2 * lanes)
#define NINE_TIMES const int8_t *weight = weights + channel;
#endif

static uint32_t scatter_levels(uint32_t bits, const int8_t *levels, int32_t channels, const int8_t *weights,
                               half_t *const *rows, const window_t *window, int32_t lanes, int32_t first)
{
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;
    uint32_t events = 0;
    half_t *sum;
    (void)channels;
    if (taps_y == 3 && taps_x == 3) {
        half_t *above = rows[0] + first, *middle = rows[1] + first, *below = rows[2] + first;
        for (; bits != 0; bits &= bits - 1, events++) {
            int32_t channel = lowest_bit(bits);
            uint32_t level = (uint32_t)(int32_t)levels[channel];
            NINE_TIMES
            THREE_TIMES(above) THREE_TIMES(middle) THREE_TIMES(below)
        }
        return events;
    }
    for (; bits != 0; bits &= bits - 1, events++) {
        int32_t channel = lowest_bit(bits);
        uint32_t level = (uint32_t)(int32_t)levels[channel];
        const int8_t *weight = weights + channel;
        for (ky = 0; ky < taps_y; ky++) {
            sum = rows[ky] + first + LANE(channel);
            for (kx = 0; kx < taps_x; kx++, sum += lanes, weight += 16)
                *sum = (half_t)(*sum + (uint32_t)*weight * level);
        }
    }
    return events;
}
#endif

/* sums[c] of (y + top - ky, x + left - kx) += weights[ky][kx][c] * level[y][x][c], only where a level is */
static uint32_t spread_levels(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                              int32_t number, half_t *const *rows)
{
    const window_t *window = &layer->window;
    const int8_t *weights = (const int8_t *)layer->weights;
    int32_t block_bytes = 16 * BYTES_OF_CHANNEL(window), words = layer->blocks, lanes = 16 * words;
    int32_t channels = window->channels, source, x, word;
    uint32_t events = 0;
    for (source = 0; source < layer->sources; source += 2) {
        const half_t *marks = marks_at(base + in[source], y * window->width, channels) + number * words;
        const int8_t *values = base + in[source + 1] + y * window->width * channels + number * lanes;
        for (x = 0; x < window->width; x++, marks += (parts - 1) * words, values += channels) {
            for (word = 0; word < words; word++) {
                uint32_t bits = *marks++;
                if (bits == 0)
                    continue;
                events += scatter_levels(bits, values + 16 * word, channels - number * lanes - 16 * word,
                                         weights + word * block_bytes, rows, window, lanes, x * lanes + 16 * word);
            }
        }
    }
    return events;
}
