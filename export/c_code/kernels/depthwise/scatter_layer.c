#include <string.h>

#include "spread.h"
#include "start_sums.h"

#if defined(SPREAD_ROWS)
/* The sums of 16 channels: under a window, which begins in three or any number of rows, of numbers whose pixels lie `lanes`
 * apart, by the weights of each tap. */
#if defined(__ARM_FEATURE_MVE)
#define TAP_OF_ROWS(ROW, AT)                                                                                           \
    {                                                                                                                  \
        int8x16_t bytes = vldrbq_s8((ROW) + (AT)), weights = vldrbq_s8(weight);                                        \
        low = vaddq_s16(low, vmullbq_int_s8(bytes, weights)), high = vaddq_s16(high, vmulltq_int_s8(bytes, weights));  \
        weight += 16;                                                                                                  \
        __asm__ volatile("" : "+w"(low), "+w"(high), "+r"(weight) : : "memory"); /* gcc would load ahead and spill */    \
    }

static void sum_rows(word_t *sums, const word_t *bias, const int8_t *weight, const int8_t *const *rows, int32_t at,
                     int32_t lanes, int32_t taps_y, int32_t taps_x)
{
    int16x8x2_t sum = vld2q_s16((const int16_t *)(const void *)bias);
    int16x8_t low = sum.val[0], high = sum.val[1]; /* even and odd channels */
#else
#define TAP_OF_ROWS(ROW, AT)                                                                                           \
    sum = _mm256_add_epi16(sum, _mm256_mullo_epi16(widened((ROW) + (AT)), widened(weight)));                           \
    weight += 16;

static void sum_rows(word_t *sums, const word_t *bias, const int8_t *weight, const int8_t *const *rows, int32_t at,
                     int32_t lanes, int32_t taps_y, int32_t taps_x)
{
    __m256i sum = loaded(bias);
#endif
    int32_t ky, kx;
    if (taps_y == 3 && taps_x == 3) {
        const int8_t *above = rows[0] + at, *level = rows[1] + at, *below = rows[2] + at;
        TAP_OF_ROWS(above, 0) TAP_OF_ROWS(above, lanes) TAP_OF_ROWS(above, 2 * lanes)
        TAP_OF_ROWS(level, 0) TAP_OF_ROWS(level, lanes) TAP_OF_ROWS(level, 2 * lanes)
        TAP_OF_ROWS(below, 0) TAP_OF_ROWS(below, lanes) TAP_OF_ROWS(below, 2 * lanes)
    } else {
        for (ky = 0; ky < taps_y; ky++) {
            const int8_t *row = rows[ky] + at;
            for (kx = 0; kx < taps_x; kx++, row += lanes) {
                TAP_OF_ROWS(row, 0)
            }
        }
    }
#if defined(__ARM_FEATURE_MVE)
    sum.val[0] = low, sum.val[1] = high;
    vst2q_s16((int16_t *)(void *)sums, sum);
#else
    stored(sums, sum);
#endif
}

/* What scatter_layer says, for part number `number` of the channels of `parts`: as many rows of int8 numbers are alive as
 * the window has, zeros around them, behind the sums of one pixel. */
static uint32_t scatter_part(const layer_t *layer, int32_t parts, int32_t number, spread_t *spread, finish_t *finish,
                             const int8_t *base, const int32_t *in, int8_t *target, const int32_t *out, half_t *sums)
{
    const window_t *window = &layer->window;
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, words = layer->blocks, lanes = 16 * words;
    int32_t row_bytes = (window->width + taps_x - 1) * lanes, all_bytes = layer->sums * row_bytes;
    int32_t next = -window->top, y, x, t, ky, word;
    word_t *pixel = (word_t *)(void *)sums;
    int8_t *first = (int8_t *)(void *)(pixel + 8 * words * layer->sums);
    const int8_t *rows[MOST_TAPS];
    uint32_t events = 0;
    memset(first, 0, (size_t)(taps_y * all_bytes));
    for (y = 0; y < window->out_height; y++) {
        for (; next < y + taps_y - window->top; next++) {
            for (t = 0; t < layer->sums; t++) {
                int8_t *row = first + (next + window->top) % taps_y * all_bytes + t * row_bytes + window->left * lanes;
                half_t *const written[1] = {(half_t *)(void *)row};
                if (next < 0 || next >= window->height)
                    memset(row, 0, (size_t)(window->width * lanes));
                else
                    events += spread(layer, base, in + t * layer->sources, next, parts, number, written);
            }
        }
        for (ky = 0; ky < taps_y; ky++)
            rows[ky] = first + (y + ky) % taps_y * all_bytes;
        for (x = 0; x < window->out_width; x++) {
            for (t = 0; t < layer->sums; t++) {
                for (word = 0; word < words; word++)
                    sum_rows(pixel + 8 * (t * words + word), layer->bias + 8 * word,
                             (const int8_t *)layer->weights + 16 * taps_y * taps_x * word, rows,
                             t * row_bytes + x * lanes + 16 * word, lanes, taps_y, taps_x);
            }
            finish(layer, pixel, layer->sums == 1 ? 0 : 8 * words, (y * window->out_width + x) * parts + number, target,
                   out);
        }
    }
    return events * (uint32_t)(taps_y * taps_x);
}
#else
/* What scatter_layer says, for part number `number` of the channels of `parts`. */
static uint32_t scatter_part(const layer_t *layer, int32_t parts, int32_t number, spread_t *spread, finish_t *finish,
                             const int8_t *base, const int32_t *in, int8_t *target, const int32_t *out, half_t *sums)
{
    const window_t *window = &layer->window;
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, taps = taps_y * taps_x;
    int32_t words = layer->blocks, lanes = 16 * words, columns = window->width + taps_x - 1;
    int32_t row_lanes = columns * lanes, stride = layer->sums == 1 ? 0 : row_lanes / 2;
    int32_t begun = 0, y, x, t, ky;
    half_t *rows[MOST_TAPS];
    uint32_t events = 0;
    for (y = 0; y < window->out_height + taps_y - 1 - window->top; y++) {
        int32_t complete = y + window->top - (taps_y - 1);
        for (; begun <= y + window->top && begun < window->out_height; begun++)
            for (x = 0; x < layer->sums * columns; x++)
                start_sums((word_t *)(void *)(sums + (begun % taps_y * layer->sums * columns + x) * lanes), layer->bias, words);
        for (t = 0; y < window->height && t < layer->sums; t++) {
            for (ky = 0; ky < taps_y; ky++)
                rows[ky] = sums + ((y + window->top - ky + taps_y) % taps_y * layer->sums + t) * row_lanes;
            events += spread(layer, base, in + t * layer->sources, y, parts, number, rows);
        }
        for (x = 0; complete >= 0 && x < window->out_width; x++) {
            half_t *pixel = sums + complete % taps_y * layer->sums * row_lanes + (x + taps_x - 1 - window->left) * lanes;
            finish(layer, (const word_t *)(const void *)pixel, stride,
                   (complete * window->out_width + x) * parts + number, target, out);
        }
    }
    return events * (uint32_t)taps;
}
#endif

/* A depthwise layer of stride 1, from where a spike or level is to the sums around it: each is looked at once.
 * As many rows of sums are alive as the window has, each with taps_x - 1 columns more than come out; rows and columns
 * beyond the image are written and never read. The weights of 16 channels stand together, tap by tap, those of a
 * row in reverse. With vectors every sum is computed at once instead, from rows of int8 numbers, silence too, and no
 * weights in reverse. Channels know nothing of each other: `list` blocks of them at a time, which divide all blocks, keep
 * the rows short. */
static uint32_t scatter_layer(const layer_t *layer, spread_t *spread, finish_t *finish, const int8_t *base,
                              const int32_t *in, int8_t *target, const int32_t *out, int8_t *scratch)
{
    layer_t part = *layer;
    int32_t bytes = 16 * BYTES_OF_CHANNEL(&layer->window), parts = layer->blocks / layer->list, number;
    uint32_t events = 0;
    part.blocks = layer->list;
    if (parts != 1)
        part.window.out_channels = 16 * part.blocks;
    for (number = 0; number < parts; number++) {
        events += scatter_part(&part, parts, number, spread, finish, base, in, target, out, (half_t *)(void *)scratch);
        part.weights = (const int8_t *)part.weights + part.blocks * bytes;
        part.bias += 8 * part.blocks;
        if (part.above != 0)
            part.above += 8 * part.blocks;
        if (part.below != 0)
            part.below += 8 * part.blocks;
        if (part.scale != 0)
            part.scale += SCALES_OF_BLOCK(layer) * part.blocks;
    }
    return events;
}
