#include "current_of.h"
#include "looked_at.h"
#include "layer.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

static void copy_values(int8_t *target, const int8_t *source, int32_t count)
{
    for (; count > 0; count -= 16, target += 16, source += 16) {
        mve_pred16_t some = vctp8q((uint32_t)count);
        vstrbq_p_s8(target, vldrbq_z_s8(source, some), some);
    }
}

/* What lies under the window of an output pixel, zero_point outside the image. */
static void copy_patch(const layer_t *layer, const int8_t *values, int32_t y, int32_t x, int8_t *patch)
{
    const window_t *window = &layer->window;
    int32_t channels = window->channels, kx, ky;
    int32_t at_once = !layer->transposed && window->dilation_x == 1; /* the taps of a row lie side by side */
    int32_t first = x * window->stride_x - window->left, from = first < 0 ? -first : 0;
    int32_t to = first + window->taps_x > window->width ? window->width - first : window->taps_x;
    for (ky = 0; ky < window->taps_y; ky++, patch += window->taps_x * channels) {
        int32_t in_y = looked_at(layer->transposed, window->height, y, ky, window->stride_y, window->dilation_y,
                                 window->top);
        const int8_t *row = values;
        if (in_y < 0)
            continue;
        row += in_y * window->width * channels;
        if (at_once) {
            copy_values(patch + from * channels, row + (first + from) * channels, (to - from) * channels);
            continue;
        }
        for (kx = 0; kx < window->taps_x; kx++) {
            int32_t in_x = looked_at(layer->transposed, window->width, x, kx, window->stride_x, window->dilation_x,
                                     window->left);
            if (in_x >= 0)
                copy_values(patch + kx * channels, row + in_x * channels, channels);
        }
    }
}

/* `current_of` for four channels */
static void four_currents(uint16_t *currents, const int32_t *sums, const int32_t *scale, const uint8_t *shift)
{
    static const uint32_t of_channels[4] = {0, 2, 4, 6};
    uint32x4_t channel = vldrwq_u32(of_channels);
    int32x4_t sum = vaddq_s32(vldrwq_s32(sums), vldrwq_gather_shifted_offset_s32(scale + 1, channel));
    int32x4_t shifts = vnegq_s32(vreinterpretq_s32_u32(vldrbq_u32(shift)));
    sum = vmulhq_s32(vshlq_n_s32(sum, 8), vldrwq_gather_shifted_offset_s32(scale, channel));
    int16x8_t clipped = vqmovnbq_s32(vdupq_n_s16(0), vrshlq_s32(sum, shifts));
    vstrhq_u32(currents, veorq_u32(vreinterpretq_u32_s16(clipped), vdupq_n_u32(32768)));
}

/* As below, of all values: sixteen int8 weights of each of four channels lie together, rows filled up to sixteens, and
 * the bias of every channel is less the sum of its weights times zero_point. */
static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    int32_t rows = window->taps_y * window->taps_x * window->channels, length = (rows + 15) / 16 * 16, four, k;
    int8_t *patch = (int8_t *)list;
    const int8_t *weights = (const int8_t *)layer->weights;
    for (k = 0; k < length; k += 16)
        vstrbq_s8(patch + k, vdupq_n_s8((int8_t)window->zero_point));
    copy_patch(layer, base + in[0], y, x, patch);
    for (four = 0; four < 4 * layer->blocks; four++) {
        int32_t a = 0, b = 0, c = 0, d = 0;
        for (k = 0; k < length; k += 16, weights += 64) {
            int8x16_t values = vldrbq_s8(patch + k);
            a = vmladavaq_s8(a, values, vldrbq_s8(weights));
            b = vmladavaq_s8(b, values, vldrbq_s8(weights + 16));
            c = vmladavaq_s8(c, values, vldrbq_s8(weights + 32));
            d = vmladavaq_s8(d, values, vldrbq_s8(weights + 48));
        }
        four_currents((uint16_t *)sums + 4 * four, (const int32_t[4]){a, b, c, d}, layer->value_scale + 8 * four,
                      layer->value_shift + 4 * four);
    }
    return (uint32_t)rows;
}
#else
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
#endif
