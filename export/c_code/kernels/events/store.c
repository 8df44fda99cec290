#include "layer.h"
#include "scaled.h"

/* out = round(scale * sum) + out_zero, clipped: int8 values */
static void store(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                  const int32_t *out)
{
    int32_t t, c, channels = layer->window.out_channels;
    for (t = 0; t < layer->timesteps; t++, sums += stride) {
        int8_t *values = target + out[t] + pixel * channels;
        for (c = 0; c < channels; c++) {
            uint32_t sum = sums[c >> 1] >> 16 * (c & 1) & 0xFFFFu;
            int32_t value = scaled(sum, layer->scale + 3 * c) + layer->window.out_zero;
            values[c] = (int8_t)(value < layer->window.low ? layer->window.low
                                 : value > layer->window.high ? layer->window.high : value);
        }
    }
}
