#include "layer.h"
#include "scaled.h"

#define TWO_TIMESTEPS(SUM, LATER_SUM)                                                                                  \
    {                                                                                                                  \
        int32_t above = scaled(SUM, scale), later = scaled(LATER_SUM, scale);                                          \
        if ((uint32_t)above <= span)                                                                                   \
            later += carried[above];                                                                                   \
        else                                                                                                           \
            spikes |= above < 0 ? bit << 16 : bit;                                                                     \
        if ((uint32_t)later > span)                                                                                    \
            later_spikes |= later < 0 ? bit << 16 : bit;                                                               \
        bit <<= 1;                                                                                                     \
        scale += 3;                                                                                                    \
    }

/* `integrate` for two timesteps, all in registers */
static void integrate_two(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                          const int32_t *out)
{
    const int32_t *scale = layer->scale;
    const int8_t *carried = layer->carried;
    word_t *first = (word_t *)(void *)(target + out[0]) + pixel * layer->blocks;
    word_t *second = (word_t *)(void *)(target + out[1]) + pixel * layer->blocks;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    const word_t *end = sums + 8 * layer->blocks;
    while (sums != end) {
        uint32_t spikes = 0, later_spikes = 0, bit = 1;
        while (bit != 0x10000u) {
            uint32_t pair = *sums, later_pair = sums[stride];
            sums++;
            TWO_TIMESTEPS(pair & 0xFFFFu, later_pair & 0xFFFFu)
            TWO_TIMESTEPS(pair >> 16, later_pair >> 16)
        }
        *first++ = spikes;
        *second++ = later_spikes;
    }
}
