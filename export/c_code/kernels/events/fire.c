#include "fires.h"
#include "layer.h"

/* No state: channel c fires where its sum reaches one of two thresholds. */
static void fire(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                 const int32_t *out)
{
    int32_t t, block;
    for (t = 0; t < layer->timesteps; t++, sums += stride) {
        word_t *spikes = (word_t *)(void *)(target + out[t]) + pixel * layer->blocks;
        for (block = 0; block < 8 * layer->blocks; block += 8)
            *spikes++ = fires(sums + block, layer->above + block, layer->below + block);
    }
}
