#if defined(__ARM_FEATURE_SAT)
#include <arm_acle.h>
#define CLIP_CURRENT(VALUE) __ssat(VALUE, 14)
#else
#define CLIP_CURRENT(VALUE) ((VALUE) < -8192 ? -8192 : (VALUE) > 8191 ? 8191 : (VALUE))
#endif

/* the current of one channel, clipped to 14 bits, + 32768: round(256 * sum * multiplier / 2^(32 + shift)); shift >= 1 */
static inline uint32_t current_of(int32_t sum, int32_t multiplier, uint8_t shift)
{
    int32_t product = (int32_t)((int64_t)(sum * 256) * multiplier >> 32);
    int32_t rounded = ((product >> (shift - 1)) + 1) >> 1;
    return (uint32_t)(CLIP_CURRENT(rounded) + 32768);
}
