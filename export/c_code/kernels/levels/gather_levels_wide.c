#include "current_of.h"
#include "gather_values.c"
#include "listed_levels.h"

#if defined(__ARM_FEATURE_MVE) || defined(VECTORS_OF_SIXTEEN)
/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * level[.][.][c])); for sums that 16 bits do not hold. Of
 * all values: vectors multiply faster than anything could be listed. */
static uint32_t gather_levels_wide(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                   word_t *sums, half_t *list)
{
    return gather_values(layer, base, in + 1, y, x, sums, list);
}
#elif defined(LANES_OF_SIXTEEN)
/* Two neighbouring rows of which one fired at least are two words: eight times the number of the pair, and their levels. */
static inline word_t *append_pairs(word_t *pair, uint32_t bits, const int8_t *values, uint32_t row, int32_t *total)
{
    (void)total;
    for (bits = (bits | bits >> 1) & 0x5555u; bits != 0; bits &= bits - 1) {
        uint32_t channel = (uint32_t)lowest_bit(bits), low, high;
        low = (uint32_t)values[channel], high = (uint32_t)values[channel + 1];
        *pair++ = (row + channel) * 4;
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(*pair) : "r"(low), "r"(high));
        pair++;
    }
    return pair;
}

static void list_pairs(void *found, int32_t pixel, int32_t count, uint32_t row)
{
    list_levels((level_list_t *)found, pixel, count, row, append_pairs);
}

/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * level[.][.][c])): pairs of rows, their weights the halves of a word: eight channels at a time. */
static void add_pairs(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const word_t *list,
                      const word_t *end, int32_t total)
{
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    const uint32_t *weights = (const uint32_t *)layer->weights;
    int32_t block;
    (void)from, (void)total;
    for (block = 0; block < (layer->window.out_channels + 7) / 8; block++, scale += 16, shift += 8) {
        int32_t a = scale[1], b = scale[3], c = scale[5], d = scale[7];
        int32_t e = scale[9], f = scale[11], g = scale[13], h = scale[15];
        const word_t *pair = list;
        while (pair != end) {
            const uint32_t *weight = weights + pair[0];
            int32_t value = (int32_t)pair[1];
            pair += 2;
            TWO_PRODUCTS(a, b, 0) TWO_PRODUCTS(c, d, 8) TWO_PRODUCTS(e, f, 16) TWO_PRODUCTS(g, h, 24)
        }
        if (*shift == 0) {
            ROUNDED(0, a, b) ROUNDED(1, c, d) ROUNDED(2, e, f) ROUNDED(3, g, h)
        } else {
            SCALED(0, a, b) SCALED(1, c, d) SCALED(2, e, f) SCALED(3, g, h)
        }
        sums += 4, weights += 4 * rows;
    }
    if (block % 2 != 0) /* no channels there */
        sums[0] = sums[1] = sums[2] = sums[3] = 0;
}

/* As above; the list holds all pairs. */
static uint32_t gather_levels_wide(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                   word_t *sums, half_t *list)
{
    return listed_levels(layer, base, in, y, x, sums, (word_t *)(void *)list, list_pairs, add_pairs);
}
#else
/* sums of 8 channels += the rows of a list, each times its level, in 32 bits */
static void add_eight(int32_t *sums, const int8_t *weights, const word_t *event, const word_t *end)
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3], e = sums[4], f = sums[5], g = sums[6], h = sums[7];
    while (event != end) {
        const int8_t *row = EVENT_ROW(weights, *event);
        int32_t level = EVENT_LEVEL(*event);
        event++;
        a += row[0] * level, b += row[1] * level, c += row[2] * level, d += row[3] * level;
        e += row[4] * level, f += row[5] * level, g += row[6] * level, h += row[7] * level;
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d, sums[4] = e, sums[5] = f, sums[6] = g, sums[7] = h;
}

static void add_wide_levels(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const word_t *list,
                            const word_t *end, int32_t total)
{
    int32_t *wide = (int32_t *)(void *)sums;
    const int8_t *weights = (const int8_t *)layer->weights;
    int32_t channels = 16 * layer->blocks, c;
    (void)total;
    if (from != sums)
        for (c = 0; c < channels; c++)
            wide[c] = layer->value_scale[2 * c + 1];
    for (c = 0; c < channels; c += 16, weights += 16 * rows) {
        add_eight(wide + c, weights, list, end);
        add_eight(wide + c + 8, weights + 8, list, end);
    }
}

/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * level[.][.][c])), only where a level is; for sums that
 * 16 bits do not hold, which come first in the list's memory. */
static uint32_t gather_levels_wide(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                   word_t *sums, half_t *list)
{
    word_t *wide = (word_t *)(void *)list;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    int32_t channels = 16 * layer->blocks, c;
    uint32_t events = listed_levels(layer, base, in, y, x, wide, wide + channels, list_events,
                                    add_wide_levels);
    for (c = 0; c < channels; c += 2, scale += 4, shift += 2)
        *sums++ = word_of(current_of((int32_t)wide[c], scale[0], shift[0]),
                          current_of((int32_t)wide[c + 1], scale[2], shift[1]));
    return events;
}
#endif
