#include "layer.h"
#include "scaled.h"

static int32_t clip_int8(int32_t value)
{
    return value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value;
}

/* membrane[t] = clip(carried(membrane[t - 1]) + clip(round(scale * sum[t]))); fires where it is not quiet. The table
 * `carried` holds reset and decay for every membrane. */
static void integrate_any(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                          const int32_t *out)
{
    const int32_t *scale = layer->scale;
    int32_t t, block, c;
    for (block = 0; block < layer->blocks; block++, sums += 8) {
        int32_t word = pixel * layer->blocks + block;
        for (t = 0; t < layer->timesteps; t++)
            ((word_t *)(void *)(target + out[t]))[word] = 0;
        for (c = 0; c < 16; c++, scale += 3) {
            const word_t *sum = sums + (c >> 1);
            int32_t carried = 0;
            for (t = 0; t < layer->timesteps; t++, sum += stride) {
                int32_t current = clip_int8(scaled(*sum >> 16 * (c & 1) & 0xFFFFu, scale));
                int32_t membrane = clip_int8(carried + current);
                if (membrane > layer->highest)
                    ((word_t *)(void *)(target + out[t]))[word] |= 1u << c;
                else if (membrane < layer->lowest)
                    ((word_t *)(void *)(target + out[t]))[word] |= 0x10000u << c;
                carried = layer->carried[membrane + 128];
            }
        }
    }
}
