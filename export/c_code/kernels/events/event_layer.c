#include "layer.h"

/* Pixel by pixel, all timesteps of a pixel at once: no current and no state is ever stored.
 * in: bytes from base to each source, source by source within timesteps; out: bytes from target to each output.
 * Returns the number of events, each an addition for every output channel. */
static uint32_t event_layer(const layer_t *layer, gather_t *gather, finish_t *finish, const int8_t *base,
                            const int32_t *in, int8_t *target, const int32_t *out, int8_t *scratch)
{
    word_t *sums = (word_t *)(void *)scratch;
    int32_t words = 8 * layer->blocks, stride = layer->sums == 1 ? 0 : words;
    half_t *list = (half_t *)(void *)(sums + words * layer->sums);
    int32_t y, x, t, pixel = 0;
    uint32_t events = 0;
    for (y = 0; y < layer->window.out_height; y++) {
        for (x = 0; x < layer->window.out_width; x++, pixel++) {
            for (t = 0; t < layer->sums; t++)
                events += gather(layer, base, in + t * layer->sources, y, x, sums + t * words, list);
            finish(layer, sums, stride, pixel, target, out);
        }
    }
    return events;
}
