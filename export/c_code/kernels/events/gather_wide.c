#include "current_of.h"
#include "listed.h"
#include "sums.h"

/* A list of 255 rows fits into 16 bits whatever the weights: 255 * 128 < 32768. So lists are added up in words, and the
 * sums of lists in 32 bits. */
static void add_wide(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const half_t *list,
                     const half_t *plus, const half_t *minus, const half_t *end)
{
    const uint32_t *weights = (const uint32_t *)layer->weights;
    static const word_t zeros[8] = {
        0x80008000u, 0x80008000u, 0x80008000u, 0x80008000u, 0x80008000u, 0x80008000u, 0x80008000u, 0x80008000u,
    };
    uint32_t begun = from == sums ? 0xFFFFFFFFu : 0; /* else nothing is there */
    int32_t block, j;
    for (block = 0; block < layer->blocks; block++, weights += 4 * rows) {
        word_t part[8];
        add_rows(zeros, part, weights, list, plus, minus, end);
        for (j = 0; j < 8; j++) {
            uint32_t low = (part[j] & 0xFFFFu) - 32768u, high = (part[j] >> 16) - 32768u;
            sums[0] = (sums[0] & begun) + low, sums[1] = (sums[1] & begun) + high;
            sums += 2;
        }
    }
}

/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * spike[.][.][c])), only where a spike is; for sums that
 * 16 bits do not hold. Sums of 32 bits come first in the list's memory. */
static uint32_t gather_wide(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                            word_t *sums, half_t *list)
{
    word_t *wide = (word_t *)(void *)list;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    int32_t channels = 16 * layer->blocks, c;
    uint32_t events;
    events = listed(layer, base, in, y, x, wide, list + 2 * channels, add_wide);
    for (c = 0; c < channels; c += 2, scale += 4, shift += 2) {
        *sums++ = word_of(current_of((int32_t)wide[c] + scale[1], scale[0], shift[0]),
                          current_of((int32_t)wide[c + 1] + scale[3], scale[2], shift[1]));
    }
    return events;
}
