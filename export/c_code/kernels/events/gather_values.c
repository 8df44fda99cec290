#include "current_of.h"
#include "looked_at.h"
#include "layer.h"

/* Two channels are one weight: w[even] + w[odd] * 2^23. A product with a value and a sum of such products are
 * low + high * 2^23, and the generator has proven that |low| < 2^22. */
#define LOW_BITS 23

static uint32_t two_currents(int64_t pair, const int32_t *scale, const uint8_t *shift)
{
    uint32_t bits = (uint32_t)pair & ((1u << LOW_BITS) - 1);
    int32_t low = (int32_t)(bits ^ 1u << (LOW_BITS - 1)) - (1 << (LOW_BITS - 1));
    int32_t high = (int32_t)(uint32_t)((uint64_t)(pair + (1 << (LOW_BITS - 1))) >> LOW_BITS);
    return current_of(low + scale[1], scale[0], shift[0]) | current_of(high + scale[3], scale[2], shift[1]) << 16;
}

/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * (in[.][.][c] - zero_point))), of int8 values that are
 * not zero_point; sources is 1 */
static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    const int8_t *values = base + in[0];
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    int32_t rows = window->taps_y * window->taps_x * window->channels, ky, kx, c, eight, row = 0, count = 0;
    for (ky = 0; ky < window->taps_y; ky++) {
        int32_t in_y = looked_at(layer->transposed, window->height, y, ky, window->stride_y, window->dilation_y,
                                 window->top);
        for (kx = 0; kx < window->taps_x; kx++, row += window->channels) {
            int32_t in_x = looked_at(layer->transposed, window->width, x, kx, window->stride_x, window->dilation_x,
                                     window->left);
            const int8_t *pixel = values;
            if (in_y < 0 || in_x < 0)
                continue;
            pixel += (in_y * window->width + in_x) * window->channels;
            for (c = 0; c < window->channels; c++) {
                if (pixel[c] != window->zero_point) {
                    list[count++] = (half_t)(row + c);
                    list[count++] = (half_t)(pixel[c] - window->zero_point);
                }
            }
        }
    }
    for (eight = 0; eight < 2 * layer->blocks; eight++) {
        const int32_t *weights = (const int32_t *)layer->weights + 4 * rows * eight;
        const half_t *event = list, *end = list + count;
        int64_t a = 0, b = 0, c = 0, d = 0;
        while (event != end) {
            const int32_t *pair = weights + 4 * *event++;
            int32_t value = (int16_t)*event++;
            a += (int64_t)pair[0] * value;
            b += (int64_t)pair[1] * value;
            c += (int64_t)pair[2] * value;
            d += (int64_t)pair[3] * value;
        }
        *sums++ = two_currents(a, scale, shift);
        *sums++ = two_currents(b, scale + 4, shift + 2);
        *sums++ = two_currents(c, scale + 8, shift + 4);
        *sums++ = two_currents(d, scale + 12, shift + 6);
        scale += 16, shift += 8;
    }
    return (uint32_t)count / 2;
}
