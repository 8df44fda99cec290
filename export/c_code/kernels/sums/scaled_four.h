#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* `scaled` for four channels */
static int32x4_t scaled_four(const uint16_t *sums, const int32_t *scale)
{
    static const uint32_t of_channels[4] = {0, 3, 6, 9};
    uint32x4_t channel = vldrwq_u32(of_channels);
    int32x4_t product = vmulq_s32(vreinterpretq_s32_u32(vldrhq_u32(sums)),
                                  vldrwq_gather_shifted_offset_s32(scale, channel));
    product = vaddq_s32(product, vldrwq_gather_shifted_offset_s32(scale + 1, channel));
    return vshlq_s32(product, vnegq_s32(vldrwq_gather_shifted_offset_s32(scale + 2, channel)));
}
#endif
