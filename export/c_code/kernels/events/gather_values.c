#include "current_of.h"
#include "looked_at.h"
#include "layer.h"
#include "vectors.h"

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

static void fill_values(const window_t *window, value_t *target, int32_t count)
{
    for (; count > 0; count -= 16, target += 16)
        vstrbq_p_s8(target, vdupq_n_s8((int8_t)window->zero_point), vctp8q((uint32_t)count));
}
#else
typedef int16_t __attribute__((may_alias)) value_t;

static void copy_values(const window_t *window, value_t *target, const int8_t *source, int32_t count)
{
    int32_t zero_point = window->zero_point;
    for (; count > 0; count--)
        *target++ = (value_t)(*source++ - zero_point);
}

static void fill_values(const window_t *window, value_t *target, int32_t count)
{
    (void)window;
    for (; count > 0; count--) {
        ONE_BY_ONE
        *target++ = 0;
    }
}
#endif

/* What lies under the window of an output pixel, zero_point where that is outside the image. */
static void copy_patch(const layer_t *layer, const int8_t *values, int32_t y, int32_t x, value_t *patch)
{
    const window_t *window = &layer->window;
    int32_t channels = window->channels, taps_x = window->taps_x, kx, ky;
    if (!layer->transposed && window->dilation_x == 1) { /* the taps of a row lie side by side */
        int32_t in_y = y * window->stride_y - window->top, in_x = x * window->stride_x - window->left;
        int32_t right = in_x + taps_x > window->width ? window->width - in_x : taps_x;
        int32_t left = in_x >= 0 ? 0 : -in_x < taps_x ? -in_x : taps_x;
        right = right < left ? left : right;
        for (ky = 0; ky < window->taps_y; ky++, in_y += window->dilation_y, patch += taps_x * channels) {
            if (in_y < 0 || in_y >= window->height) {
                fill_values(window, patch, taps_x * channels);
                continue;
            }
            fill_values(window, patch, left * channels);
            copy_values(window, patch + left * channels, values + (in_y * window->width + in_x + left) * channels,
                        (right - left) * channels);
            fill_values(window, patch + right * channels, (taps_x - right) * channels);
        }
        return;
    }
    for (ky = 0; ky < window->taps_y; ky++) {
        int32_t in_y = looked_at(layer->transposed, window->height, y, ky, window->stride_y, window->dilation_y,
                                 window->top);
        for (kx = 0; kx < taps_x; kx++, patch += channels) {
            int32_t in_x = looked_at(layer->transposed, window->width, x, kx, window->stride_x, window->dilation_x,
                                     window->left);
            if (in_y < 0 || in_x < 0)
                fill_values(window, patch, channels);
            else
                copy_values(window, patch, values + (in_y * window->width + in_x) * channels, channels);
        }
    }
}

#if defined(__ARM_FEATURE_MVE)
/* `current_of` for four channels */
static inline void four_currents(int16_t *currents, int32x4_t sum, const int32_t *scale, const uint8_t *shift)
{
    static const uint32_t of_channels[4] = {0, 2, 4, 6};
    uint32x4_t channel = vldrwq_u32(of_channels);
    int32x4_t shifts = vnegq_s32(vreinterpretq_s32_u32(vldrbq_u32(shift)));
    sum = vmulhq_s32(vshlq_n_s32(sum, 8), vldrwq_gather_shifted_offset_s32(scale, channel));
    sum = vminq_s32(vmaxq_s32(vrshlq_s32(sum, shifts), vdupq_n_s32(-8192)), vdupq_n_s32(8191));
    vstrhq_s32(currents, sum);
}

/* As below, of all values: sixteen int8 weights of each of four channels lie together, rows filled up to sixteens, and
 * the bias of every channel is less the sum of its weights times zero_point. */
NOT_ALWAYS_USED static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    int32_t rows = window->taps_y * window->taps_x * window->channels, length = (rows + 15) / 16 * 16, four, k;
    int8_t *patch = (int8_t *)list;
    const int8_t *weights = (const int8_t *)layer->weights;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    copy_patch(layer, base + in[0], y, x, patch);
    for (four = 0; four < 4 * layer->blocks; four++) {
        int32_t a = scale[1], b = scale[3], c = scale[5], d = scale[7];
        int32x4_t sum = vdupq_n_s32(0);
        for (k = 0; k < length; k += 16, weights += 64) {
            int8x16_t values = vldrbq_s8(patch + k);
            a = vmladavaq_s8(a, values, vldrbq_s8(weights));
            b = vmladavaq_s8(b, values, vldrbq_s8(weights + 16));
            c = vmladavaq_s8(c, values, vldrbq_s8(weights + 32));
            d = vmladavaq_s8(d, values, vldrbq_s8(weights + 48));
        }
        sum = vsetq_lane_s32(a, sum, 0), sum = vsetq_lane_s32(b, sum, 1);
        sum = vsetq_lane_s32(c, sum, 2), sum = vsetq_lane_s32(d, sum, 3);
        four_currents((int16_t *)sums + 4 * four, sum, scale, shift);
        scale += 8, shift += 4;
    }
    return (uint32_t)rows;
}
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

/* `current_of` where 2^32 stands for 1, rounded by the product itself */
static inline int32_t rounded_current(int32_t sum, int32_t multiplier)
{
    int32_t product;
    __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(sum), "r"(multiplier));
    return clip_current(product);
}

#define ROUNDED(PAIR, LOW, HIGH)                                                                                       \
    sums[PAIR] = word_of(rounded_current(LOW, scale[4 * (PAIR)]), rounded_current(HIGH, scale[4 * (PAIR) + 2]));
#define SCALED(PAIR, LOW, HIGH)                                                                                        \
    sums[PAIR] = word_of(current_of(LOW, scale[4 * (PAIR)], shift[2 * (PAIR)]),                                        \
                         current_of(HIGH, scale[4 * (PAIR) + 2], shift[2 * (PAIR) + 1]));
#define TWO_PRODUCTS(SUM, NEXT, OFFSET)                                                                                \
    {                                                                                                                  \
        int32_t one, other; /* gcc loads them one by one */                                                            \
        __asm__("ldrd %0, %1, [%2, #" #OFFSET "]" : "=r"(one), "=r"(other) : "r"(weight), "m"(weight[OFFSET / 4]));    \
        SUM = __smlad(one, value, SUM);                                                                                \
        NEXT = __smlad(other, value, NEXT);                                                                            \
    }

/* As below, two values of neighbouring rows at a time, of eight channels: their weights are the halves of a word. A shift
 * of 0 stands for products that round. */
NOT_ALWAYS_USED static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    int32_t rows = window->taps_y * window->taps_x * window->channels, block;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    const uint32_t *weight = (const uint32_t *)layer->weights;
    word_t *patch = (word_t *)(void *)list, *end = patch + (rows + 1) / 2;
    end[-1] = 0; /* of rows, an odd number, the last one has no partner */
    copy_patch(layer, base + in[0], y, x, (value_t *)(void *)patch);
    for (block = 0; block < (window->out_channels + 7) / 8; block++, scale += 16, shift += 8, sums += 4) {
        int32_t a = scale[1], b = scale[3], c = scale[5], d = scale[7];
        int32_t e = scale[9], f = scale[11], g = scale[13], h = scale[15];
        const word_t *pair = patch;
        for (; pair != end; weight += 8) {
            int32_t value = (int32_t)*pair++;
            if (value != 0) {
                TWO_PRODUCTS(a, b, 0) TWO_PRODUCTS(c, d, 8) TWO_PRODUCTS(e, f, 16) TWO_PRODUCTS(g, h, 24)
            }
        }
        if (*shift == 0) {
            ROUNDED(0, a, b) ROUNDED(1, c, d) ROUNDED(2, e, f) ROUNDED(3, g, h)
        } else {
            SCALED(0, a, b) SCALED(1, c, d) SCALED(2, e, f) SCALED(3, g, h)
        }
    }
    if (block % 2 != 0) /* no channels there */
        sums[0] = sums[1] = sums[2] = sums[3] = 0;
    return (uint32_t)rows;
}
#elif defined(VECTORS_OF_SIXTEEN)
/* The upper halves of products, of eight numbers */
static inline __m256i high_products(__m256i one, __m256i other)
{
    __m256i even = _mm256_srli_epi64(_mm256_mul_epi32(one, other), 32);
    __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(one, 32), _mm256_srli_epi64(other, 32));
    return _mm256_blend_epi32(even, odd, 0xAA);
}

/* `current_of` for eight channels whose multipliers are given, not clipped */
static inline __m256i eight_currents(__m256i sums, __m256i multipliers, const uint8_t *shift)
{
    __m256i product = high_products(_mm256_slli_epi32(sums, 8), multipliers), one = _mm256_set1_epi32(1);
    __m256i shifts = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)shift));
    product = _mm256_srav_epi32(product, _mm256_sub_epi32(shifts, one));
    return _mm256_srai_epi32(_mm256_add_epi32(product, one), 1);
}

/* As below, two values of neighbouring rows at a time, of sixteen channels: their weights are the halves of a word.
 * value_scale holds the multipliers of eight channels, and then their biases. */
NOT_ALWAYS_USED static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    int32_t rows = window->taps_y * window->taps_x * window->channels, pairs = (rows + 1) / 2, block, j;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    const uint32_t *weight = (const uint32_t *)layer->weights;
    word_t *patch = (word_t *)(void *)list;
    __m256i least = _mm256_set1_epi16(-8192), most = _mm256_set1_epi16(8191);
    patch[pairs - 1] = 0; /* of rows, an odd number, the last one has no partner */
    copy_patch(layer, base + in[0], y, x, (value_t *)(void *)patch);
    for (block = 0; block < layer->blocks; block++, scale += 32, shift += 16, sums += 8, weight += 16 * pairs) {
        __m256i low = loaded(scale + 8), high = loaded(scale + 24);
        for (j = 0; j < pairs; j++) {
            __m256i values = _mm256_set1_epi32((int32_t)patch[j]);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(values, loaded(weight + 8 * j)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(values, loaded(weight + 8 * (pairs + j))));
        }
        low = eight_currents(low, loaded(scale), shift);
        high = eight_currents(high, loaded(scale + 16), shift + 8);
        low = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
        stored(sums, _mm256_max_epi16(_mm256_min_epi16(low, most), least));
    }
    return (uint32_t)rows;
}
#else
typedef struct {
    uint16_t row;
    int16_t value;
} event_t;

/* Lists what under the window of an output pixel is not zero_point; returns the end of the list. What lies there comes
 * behind the list first, which grows twice as fast as it is read and so does not overtake it. */
static event_t *list_values(const layer_t *layer, const int8_t *values, int32_t y, int32_t x, event_t *event)
{
    const window_t *window = &layer->window;
    int32_t rows = window->taps_y * window->taps_x * window->channels, row;
    value_t *patch = (value_t *)(void *)event + rows;
    copy_patch(layer, values, y, x, patch);
    for (row = 0; row < rows; row++) {
        int16_t value = patch[row];
        if (value != 0) {
            event->row = (uint16_t)row;
            event++->value = value;
        }
    }
    return event;
}

/* sums[o] = round(scale * (bias[o] + sum of weights[tap][c][o] * (in[.][.][c] - zero_point))), of int8 values that are
 * not zero_point; sources is 1 */
NOT_ALWAYS_USED static uint32_t gather_values(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    const int32_t *scale = layer->value_scale;
    const uint8_t *shift = layer->value_shift;
    event_t *first = (event_t *)(void *)list, *end = list_values(layer, base + in[0], y, x, first), *event;
    int32_t rows = window->taps_y * window->taps_x * window->channels, four;
    const int8_t *weights = (const int8_t *)layer->weights;
    for (four = 0; four < 4 * layer->blocks; four++, scale += 8, shift += 4, weights += 4 * rows) {
        int32_t a = scale[1], b = scale[3], c = scale[5], d = scale[7];
        for (event = first; event != end; event++) {
            const int8_t *weight = weights + 4 * event->row;
            int32_t value = event->value;
            a += weight[0] * value, b += weight[1] * value, c += weight[2] * value, d += weight[3] * value;
        }
        *sums++ = word_of(current_of(a, scale[0], shift[0]), current_of(b, scale[2], shift[1]));
        *sums++ = word_of(current_of(c, scale[4], shift[2]), current_of(d, scale[6], shift[3]));
    }
    return (uint32_t)(end - first);
}
#endif
