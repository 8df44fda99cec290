#include "current_of.h"
#include "layer.h"

/* sums = in: currents that were stored as int8 values */
static uint32_t gather_currents(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                word_t *sums, half_t *list)
{
    int32_t channels = layer->window.channels, c;
    const int8_t *values = base + in[0] + (y * layer->window.width + x) * channels;
    (void)list;
    for (c = 0; c < 16 * layer->blocks; c += 2) {
        *sums++ = word_of(c < channels ? values[c] : 0, c + 1 < channels ? values[c + 1] : 0);
    }
    return 0;
}
