#include "layer.h"
#include "scaled.h"
#include "scaled_four.h"

/* membrane[t] = carried(membrane[t - 1]) + round(scale * sum[t]); fires where it is not quiet, and then starts at 0.
 * Membranes are counted from the lowest quiet one on: `above`. The generator has proven that none needs saturation: what
 * would saturate fires either way. */
#if defined(__ARM_FEATURE_MVE)
static void integrate(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                      const int32_t *out)
{
    static const uint32_t first_bits[4] = {1, 2, 4, 8};
    const int32_t *scale = layer->scale;
    const int8_t *table = layer->carried;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    int32_t t, block, c, timesteps = layer->timesteps;
    for (block = 0; block < layer->blocks; block++, sums += 8) {
        int32_t word = pixel * layer->blocks + block;
        uint32x4_t bits = vldrwq_u32(first_bits);
        for (t = 0; t < timesteps; t++)
            ((word_t *)(void *)(target + out[t]))[word] = 0;
        for (c = 0; c < 16; c += 4, scale += 12, bits = vshlq_n_u32(bits, 4)) {
            const word_t *sum = sums + (c >> 1);
            int32x4_t carried = vdupq_n_s32(0);
            for (t = 0; t < timesteps; t++, sum += stride) {
                int32x4_t above = vaddq_s32(carried, scaled_four((const uint16_t *)sum, scale));
                mve_pred16_t fires = vcmphiq_n_u32(vreinterpretq_u32_s32(above), span);
                uint32_t fired = vaddvq_p_u32(bits, fires);
                uint32_t down = vaddvq_p_u32(bits, vcmpltq_m_n_s32(above, 0, fires));
                ((word_t *)(void *)(target + out[t]))[word] |= (fired - down) | down << 16;
                fires = (mve_pred16_t)~fires;
                carried = vldrbq_gather_offset_z_s32(table, vreinterpretq_u32_s32(above), fires);
            }
        }
    }
}
#else
/* One channel at two timesteps: fires where the membrane is not quiet, and otherwise leaves what the table says. */
#define NEXT_TWO(SUM, LATER_SUM)                                                                                       \
    {                                                                                                                  \
        int32_t above = *carried + scaled(SUM, scale), later = scaled(LATER_SUM, scale);                               \
        if ((uint32_t)above <= span)                                                                                   \
            later += table[above];                                                                                     \
        else                                                                                                           \
            spikes |= above < 0 ? bit << 16 : bit;                                                                     \
        if ((uint32_t)later <= span) {                                                                                 \
            *carried++ = table[later];                                                                                 \
        } else {                                                                                                       \
            *carried++ = 0;                                                                                            \
            later_spikes |= later < 0 ? bit << 16 : bit;                                                               \
        }                                                                                                              \
        bit <<= 1;                                                                                                     \
        scale += 3;                                                                                                    \
    }

/* Two timesteps of 16 channels at a time; 16 bytes hold what goes on to the next two. */
static void integrate(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                      const int32_t *out)
{
    const int8_t *table = layer->carried;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    int32_t t, block, timesteps = layer->timesteps, word = pixel * layer->blocks;
    for (block = 0; block < layer->blocks; block++, word++) {
        int8_t left[16] = {0};
        for (t = 0; t < timesteps; t += 2) {
            int32_t later_stride = t + 1 < timesteps ? stride : 0; /* behind the last one: computed, and not stored */
            const int32_t *scale = layer->scale + 48 * block;
            const word_t *sum = sums + 8 * block + t * stride;
            int8_t *carried = left;
            uint32_t spikes = 0, later_spikes = 0, bit = 1;
            while (bit != 0x10000u) {
                uint32_t pair = *sum, later_pair = sum[later_stride];
                sum++;
                NEXT_TWO(pair & 0xFFFFu, later_pair & 0xFFFFu)
                NEXT_TWO(pair >> 16, later_pair >> 16)
            }
            ((word_t *)(void *)(target + out[t]))[word] = spikes;
            if (t + 1 < timesteps)
                ((word_t *)(void *)(target + out[t + 1]))[word] = later_spikes;
        }
    }
}
#endif
