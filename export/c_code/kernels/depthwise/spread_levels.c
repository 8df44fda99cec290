#include <string.h>

#include "lane.h"
#include "levels.h"
#include "lowest_bit.h"
#include "spread.h"

#if defined(SPREAD_ROWS)
/* A row of levels; those of several sources are added up. */
static uint32_t spread_levels(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                              int32_t number, half_t *const *rows)
{
    const window_t *window = &layer->window;
    int32_t words = layer->blocks, channels = window->channels, source, x, word;
    uint32_t events = 0;
    (void)parts;
    for (source = 0; source < layer->sources; source += 2) {
        const int8_t *values = base + in[source + 1] + y * window->width * channels + 16 * number * words;
        int8_t *row = (int8_t *)(void *)rows[0];
        for (x = 0; x < window->width; x++, values += channels) {
            for (word = 0; word < words; word++, row += 16) {
                int32_t left = channels - 16 * (number * words + word);
                sixteen_bytes_t bytes;
                if (left >= 16) {
                    bytes = load_bytes(values + 16 * word);
                } else {
                    int8_t some[16] = {0};
                    memcpy(some, values + 16 * word, (size_t)left);
                    bytes = load_bytes(some);
                }
                events += bytes_not_zero(bytes);
                store_bytes(row, source == 0 ? bytes : added_bytes(load_bytes(row), bytes));
            }
        }
    }
    return events;
}
#else
/* Adds the weights of 16 channels, each times its level, to the sums around a pixel; bits: where levels are. Rows and lanes
 * as in spread_spikes.c. */
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

static uint32_t scatter_levels(uint32_t bits, const int8_t *levels, const int8_t *weights, half_t *const *rows,
                               const window_t *window, int32_t lanes, int32_t first)
{
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;
    uint32_t events = 0;
    half_t *sum;
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
                events += scatter_levels(bits, values + 16 * word, weights + word * block_bytes, rows, window, lanes, x * lanes + 16 * word);
            }
        }
    }
    return events;
}
#endif
