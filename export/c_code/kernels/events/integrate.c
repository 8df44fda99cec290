#include "layer.h"

/* membrane[t] = carried(membrane[t - 1]) + round(scale * sum[t]); fires where it is not quiet, and then starts at 0.
 * The generator has proven that no membrane and no current needs saturation: what would saturate fires either way. */
static void integrate(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                      const int32_t *out)
{
    const int32_t *scale = layer->scale;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    int32_t t, block, c, timesteps = layer->timesteps, lowest = layer->lowest;
    for (block = 0; block < layer->blocks; block++) {
        int32_t word = pixel * layer->blocks + block;
        for (t = 0; t < timesteps; t++)
            ((word_t *)(void *)(target + out[t]))[word] = 0;
        for (c = 0; c < 16; c++, scale += 3) {
            const word_t *sum = sums + (c >> 1);
            int32_t high = 16 * (c & 1), carried = 0;
            for (t = 0; t < timesteps; t++, sum += stride) {
                uint32_t scaled = (*sum >> high & 0xFFFFu) * (uint32_t)scale[0] + (uint32_t)scale[1];
                int32_t membrane = carried + ((int32_t)scaled >> scale[2]);
                uint32_t above = (uint32_t)(membrane - lowest);
                if (above > span) {
                    ((word_t *)(void *)(target + out[t]))[word] |= (membrane > 0 ? 1u : 0x10000u) << c;
                    carried = 0;
                } else {
                    carried = layer->carried[above];
                }
            }
        }
        sums += 8;
    }
}
