#include "layer.h"
#include "scaled.h"
#include "scaled_four.h"

/* membrane[t] = carried(membrane[t - 1]) + round(scale * sum[t]); fires where it is not quiet, and then starts at 0.
 * Membranes are counted from the lowest quiet one on: `above`. The generator has proven that none needs saturation: what
 * would saturate fires either way. */
static void integrate(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                      const int32_t *out)
{
    const int32_t *scale = layer->scale;
    const int8_t *table = layer->carried;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    int32_t t, block, c, timesteps = layer->timesteps;
    for (block = 0; block < layer->blocks; block++, sums += 8) {
        int32_t word = pixel * layer->blocks + block;
#if defined(__ARM_FEATURE_MVE)
        static const uint32_t first_bits[4] = {1, 2, 4, 8};
        uint32x4_t bits = vldrwq_u32(first_bits);
#endif
        for (t = 0; t < timesteps; t++)
            ((word_t *)(void *)(target + out[t]))[word] = 0;
#if defined(__ARM_FEATURE_MVE)
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
#else
        for (c = 0; c < 16; c++, scale += 3) {
            const word_t *sum = sums + (c >> 1);
            int32_t high = 16 * (c & 1), carried = 0;
            for (t = 0; t < timesteps; t++, sum += stride) {
                int32_t above = carried + scaled(*sum >> high & 0xFFFFu, scale);
                if ((uint32_t)above > span) {
                    ((word_t *)(void *)(target + out[t]))[word] |= (above < 0 ? 0x10000u : 1u) << c;
                    carried = 0;
                } else {
                    carried = table[above];
                }
            }
        }
#endif
    }
}
