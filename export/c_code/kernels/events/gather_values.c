#include "current_of.h"
#include "looked_at.h"
#include "layer.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

typedef int8_t value_t;

static void copy_values(const window_t *window, value_t *target, const int8_t *source, int32_t count)
{
    (void)window;
    for (; count > 0; count -= 16, target += 16, source += 16) {
        mve_pred16_t some = vctp8q((uint32_t)count);
        vstrbq_p_s8(target, vldrbq_z_s8(source, some), some);
    }
}
#else
typedef int16_t __attribute__((may_alias)) value_t;

static void copy_values(const window_t *window, value_t *target, const int8_t *source, int32_t count)
{
    int32_t zero_point = window->zero_point;
    for (; count > 0; count--)
        *target++ = (value_t)(*source++ - zero_point);
}
#endif

/* What lies under the window of an output pixel; nothing is written where that is outside the image. */
static void copy_patch(const layer_t *layer, const int8_t *values, int32_t y, int32_t x, value_t *patch)
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
            copy_values(window, patch + from * channels, row + (first + from) * channels, (to - from) * channels);
            continue;
        }
        for (kx = 0; kx < window->taps_x; kx++) {
            int32_t in_x = looked_at(layer->transposed, window->width, x, kx, window->stride_x, window->dilation_x,
                                     window->left);
            if (in_x >= 0)
                copy_values(window, patch + kx * channels, row + in_x * channels, channels);
        }
    }
}

#if defined(__ARM_FEATURE_MVE)
/* `current_of` for four channels */
static void four_currents(uint16_t *currents, const int32_t *sums, const int32_t *scale, const uint8_t *shift)
{
    static const uint32_t of_channels[4] = {0, 2, 4, 6};
    uint32x4_t channel = vldrwq_u32(of_channels);
    int32x4_t sum = vaddq_s32(vldrwq_s32(sums), vldrwq_gather_shifted_offset_s32(scale + 1, channel));
    int32x4_t shifts = vnegq_s32(vreinterpretq_s32_u32(vldrbq_u32(shift)));
    sum = vmulhq_s32(vshlq_n_s32(sum, 8), vldrwq_gather_shifted_offset_s32(scale, channel));
    sum = vminq_s32(vmaxq_s32(vrshlq_s32(sum, shifts), vdupq_n_s32(-8192)), vdupq_n_s32(8191));
    vstrhq_u32(currents, vreinterpretq_u32_s32(vaddq_n_s32(sum, 32768)));
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
        int32_t a = 0, b = 0, c = 0, d = 0, products[4];
        for (k = 0; k < length; k += 16, weights += 64) {
            int8x16_t values = vldrbq_s8(patch + k);
            a = vmladavaq_s8(a, values, vldrbq_s8(weights));
            b = vmladavaq_s8(b, values, vldrbq_s8(weights + 16));
            c = vmladavaq_s8(c, values, vldrbq_s8(weights + 32));
            d = vmladavaq_s8(d, values, vldrbq_s8(weights + 48));
        }
        products[0] = a, products[1] = b, products[2] = c, products[3] = d;
        four_currents((uint16_t *)sums + 4 * four, products, layer->value_scale + 8 * four,
                      layer->value_shift + 4 * four);
    }
    return (uint32_t)rows;
}
#else
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

/* Two values of neighbouring rows are one event, and so are their weights. */
typedef struct {
    uint32_t number;
    uint32_t value;
} event_t;
typedef uint32_t weight_t;
#define VALUE_OF_EVENT uint32_t
#define VALUES 2
#define CHANNELS 8
#define ADD_PRODUCT(SUM, CHANNEL) SUM = __smlad((int32_t)weight[CHANNEL], value, SUM);
#else
typedef struct {
    uint16_t number;
    int16_t value;
} event_t;
typedef int8_t weight_t;
#define VALUE_OF_EVENT int16_t
#define VALUES 1
#define CHANNELS 4
#define ADD_PRODUCT(SUM, CHANNEL) SUM += weight[CHANNEL] * value;
#endif

/* Lists what under the window of an output pixel is not zero_point; returns the end of the list. What lies there comes
 * behind the list first, which grows twice as fast as it is read and so does not overtake it. */
static event_t *list_values(const layer_t *layer, const int8_t *values, int32_t y, int32_t x, event_t *event)
{
    const window_t *window = &layer->window;
    int32_t rows = window->taps_y * window->taps_x * window->channels, row;
    int32_t length = (rows + VALUES - 1) / VALUES * VALUES;
    value_t *patch = (value_t *)(void *)event + length;
    for (row = 0; row < length; row++)
        patch[row] = 0;
    copy_patch(layer, values, y, x, patch);
    for (row = 0; row < length; row += VALUES, patch += VALUES) {
        uint32_t value = (uint32_t)patch[0];
#if VALUES == 2
        value = (value & 0xFFFFu) | (uint32_t)patch[1] << 16;
#endif
        if (value != 0) {
            event->number = (uint16_t)(row / VALUES);
            event++->value = (VALUE_OF_EVENT)value;
        }
    }
    return event;
}

/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * (in[.][.][c] - zero_point))), of int8 values that are
 * not zero_point; sources is 1 */
static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    event_t *first = (event_t *)(void *)list, *end = list_values(layer, base + in[0], y, x, first), *event;
    int32_t rows = window->taps_y * window->taps_x * window->channels, channel;
    const weight_t *weights = (const weight_t *)layer->weights;
    for (channel = 0; channel < 16 * layer->blocks; channel += CHANNELS, scale += 2 * CHANNELS, shift += CHANNELS) {
        int32_t a = scale[1], b = scale[3], c = scale[5], d = scale[7];
#if CHANNELS == 8
        int32_t e = scale[9], f = scale[11], g = scale[13], h = scale[15];
#endif
        for (event = first; event != end; event++) {
            const weight_t *weight = weights + CHANNELS * event->number;
            int32_t value = (int32_t)event->value;
#if VALUES == 2
            __asm__("" : "+r"(weight)); /* gcc would compute it again for the first load */
#endif
            ADD_PRODUCT(a, 0) ADD_PRODUCT(b, 1) ADD_PRODUCT(c, 2) ADD_PRODUCT(d, 3)
#if CHANNELS == 8
            ADD_PRODUCT(e, 4) ADD_PRODUCT(f, 5) ADD_PRODUCT(g, 6) ADD_PRODUCT(h, 7)
#endif
        }
        *sums++ = current_of(a, scale[0], shift[0]) | current_of(b, scale[2], shift[1]) << 16;
        *sums++ = current_of(c, scale[4], shift[2]) | current_of(d, scale[6], shift[3]) << 16;
#if CHANNELS == 8
        *sums++ = current_of(e, scale[8], shift[4]) | current_of(f, scale[10], shift[5]) << 16;
        *sums++ = current_of(g, scale[12], shift[6]) | current_of(h, scale[14], shift[7]) << 16;
#endif
        weights += (rows + VALUES - 1) / VALUES * CHANNELS;
    }
    return (uint32_t)(end - first) * VALUES;
}
#endif
