#include "layer.h"

/* sums = in + 32768: currents that were stored as int8 values */
static uint32_t gather_currents(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                word_t *sums, half_t *list)
{
    int32_t channels = layer->window.channels, c;
    const int8_t *values = base + in[0] + (y * layer->window.width + x) * channels;
    (void)list;
    for (c = 0; c < 16 * layer->blocks; c += 2) {
        uint32_t low = c < channels ? (uint32_t)(values[c] + 32768) : 32768u;
        uint32_t high = c + 1 < channels ? (uint32_t)(values[c + 1] + 32768) : 32768u;
        *sums++ = low | high << 16;
    }
    return 0;
}
