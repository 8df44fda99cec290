#include "current_of.h"
#include "inside.h"
#include "layer.h"
#include "levels.h"
#include "lowest_bit.h"

/* sums[c] = round(scale * (bias[c] + sum of weights[tap][c] * level[.][.][c])), only where a level is; sums of 32 bits lie
 * in the list's memory */
static uint32_t gather_levels_depthwise(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                        word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    const int8_t *weights = (const int8_t *)layer->weights;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    int32_t *wide = (int32_t *)(void *)list;
    uint32_t events = 0;
    int32_t channels = window->channels, all = 16 * layer->blocks, ky, kx, source, first, c;
    for (c = 0; c < all; c++)
        wide[c] = scale[2 * c + 1];
    for (ky = 0; ky < window->taps_y; ky++) {
        int32_t in_y = y * window->stride_y + ky * window->dilation_y - window->top;
        for (kx = 0; kx < window->taps_x; kx++, weights += channels) {
            int32_t in_x = x * window->stride_x + kx * window->dilation_x - window->left;
            int32_t pixel = in_y * window->width + in_x;
            if (!inside(window, in_y, in_x))
                continue;
            for (source = 0; source < layer->sources; source += 2) {
                const half_t *marks = marks_at(base + in[source], pixel, channels);
                const int8_t *values = base + in[source + 1] + pixel * channels;
                for (first = 0; first < channels; first += 16) {
                    uint32_t bits = *marks++;
                    for (; bits != 0; bits &= bits - 1, events++) {
                        c = first + lowest_bit(bits);
                        wide[c] += weights[c] * values[c];
                    }
                }
            }
        }
    }
    for (c = 0; c < all; c += 2, scale += 4, shift += 2)
        *sums++ = word_of(current_of(wide[c], scale[0], shift[0]), current_of(wide[c + 1], scale[2], shift[1]));
    return events;
}
