#include "words.h"

/* 14 bits of it */
NOT_ALWAYS_USED static inline int32_t clip_current(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t clipped;
    __asm__("ssat %0, #14, %1" : "=r"(clipped) : "r"(value));
    return clipped;
#else
    return value < -8192 ? -8192 : value > 8191 ? 8191 : value;
#endif
}

/* the current of one channel, clipped to 14 bits: round(sum * multiplier / 2^(24 + shift)); shift >= 1 */
NOT_ALWAYS_USED static inline int32_t current_of(int32_t sum, int32_t multiplier, uint8_t shift)
{
    int32_t product = (int32_t)((int64_t)(sum * 256) * multiplier >> 32);
    return clip_current(((product >> (shift - 1)) + 1) >> 1);
}

/* two sums as one word */
NOT_ALWAYS_USED static inline uint32_t word_of(int32_t low, int32_t high)
{
#ifdef LANES_OF_SIXTEEN
    uint32_t word;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(word) : "r"(low), "r"(high));
    return word;
#else
    return ((uint32_t)(low + SUM_ZERO) & 0xFFFFu) | (uint32_t)(high + SUM_ZERO) << 16;
#endif
}
