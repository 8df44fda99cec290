#include "spread.h"
#include "start_sums.h"

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

/* A depthwise layer of stride 1, from where a spike or level is to the sums around it: each is looked at once.
 * As many rows of sums are alive as the window has, each with taps_x - 1 columns more than come out; rows and columns
 * beyond the image are written and never read. The weights of 16 channels stand together, tap by tap, those of a
 * row in reverse. Channels know nothing of each other: `list` blocks of them at a time, which divide all blocks, keep
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
