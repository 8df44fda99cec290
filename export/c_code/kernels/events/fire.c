#include "layer.h"

/* No state: channel c fires where its sum reaches one of two thresholds. Two channels at a time: bit 15 of each half says
 * whether sum + above, and below - sum, are at least 32768. */
static void fire(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                 const int32_t *out)
{
    int32_t t, block, j;
    for (t = 0; t < layer->timesteps; t++, sums += stride) {
        word_t *spikes = (word_t *)(void *)(target + out[t]) + pixel * layer->blocks;
        const uint32_t *above = layer->above, *below = layer->below;
        const word_t *sum = sums;
        for (block = 0; block < layer->blocks; block++, sum += 8, above += 8, below += 8) {
            uint32_t plus = 0, minus = 0;
            for (j = 0; j < 8; j++) {
                plus |= ((sum[j] + above[j]) >> 15 & 0x00010001u) << 2 * j;
                minus |= ((below[j] - sum[j]) >> 15 & 0x00010001u) << 2 * j;
            }
            *spikes++ = ((plus | plus >> 15) & 0xFFFFu) | (minus | minus >> 15) << 16;
        }
    }
}
