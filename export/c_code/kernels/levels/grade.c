#include "fires.h"
#include "lane.h"
#include "layer.h"
#include "levels.h"
#include "lowest_bit.h"
#include "scaled.h"

/* level = round(scale * sum), clipped, where that is not 0: two thresholds for the sum say where, as in `fire`, or one where
 * no level is below 0 */
static void grade(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                  const int32_t *out)
{
    int32_t left = layer->window.out_channels, low = layer->window.low, high = layer->window.high;
    int8_t *levels = target + out[1] + pixel * left;
    half_t *marks = (half_t *)(void *)(target + out[0]) + pixel * layer->blocks;
    const uint32_t *above = layer->above, *below = layer->below;
    const int32_t *scale = layer->scale;
    (void)stride;
    for (; left > 0; left -= 16, levels += 16, sums += 8, above += 8, below += 8, scale += 48) {
        const half_t *halves = (const half_t *)(const void *)sums;
        uint32_t spikes = low < 0 ? fires(sums, above, below) : reaches(sums, above);
        uint32_t bits = (spikes | spikes >> 16) & 0xFFFFu;
        *marks++ = (half_t)bits;
        clear_levels(levels, left);
        for (; bits != 0; bits &= bits - 1) {
            int32_t channel = lowest_bit(bits), level = scaled(halves[LANE(channel)], scale + 3 * channel);
            levels[channel] = (int8_t)(level < low ? low : level > high ? high : level);
        }
    }
}
