#include "layer.h"
#include "scaled.h"
#include "scaled_four.h"

#if defined(__ARM_FEATURE_MVE)
/* Four channels at a time; `fired` counts both signs. */
#define FIRES(MEMBRANE, FIRED, DOWN)                                                                                   \
    fires = vcmphiq_n_u32(vreinterpretq_u32_s32(MEMBRANE), span);                                                      \
    FIRED = vaddvaq_p_u32(FIRED, bits, fires);                                                                         \
    DOWN = vaddvaq_p_u32(DOWN, bits, vcmpltq_m_n_s32(MEMBRANE, 0, fires));

/* `integrate` for two timesteps, all in registers */
static void integrate_two(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                          const int32_t *out)
{
    static const uint32_t first_bits[4] = {1, 2, 4, 8};
    const int32_t *scale = layer->scale;
    const int8_t *carried = layer->carried;
    const uint16_t *sum = (const uint16_t *)(const void *)sums, *end = sum + 16 * layer->blocks;
    word_t *first = (word_t *)(void *)(target + out[0]) + pixel * layer->blocks;
    word_t *second = (word_t *)(void *)(target + out[1]) + pixel * layer->blocks;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    mve_pred16_t fires;
    while (sum != end) {
        uint32_t fired = 0, down = 0, later_fired = 0, later_down = 0;
        uint32x4_t bits = vldrwq_u32(first_bits);
        const uint16_t *block_end = sum + 16;
        for (; sum != block_end; sum += 4, scale += 12, bits = vshlq_n_u32(bits, 4)) {
            int32x4_t above = scaled_four(sum, scale), later = scaled_four(sum + 2 * stride, scale);
            FIRES(above, fired, down)
            fires = (mve_pred16_t)~fires;
            later = vaddq_s32(later, vldrbq_gather_offset_z_s32(carried, vreinterpretq_u32_s32(above), fires));
            FIRES(later, later_fired, later_down)
        }
        *first++ = (fired - down) | down << 16;
        *second++ = (later_fired - later_down) | later_down << 16;
    }
}
#else
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
#endif
