/* 14 bits of it */
static inline int32_t clip_current(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t clipped;
    __asm__("ssat %0, #14, %1" : "=r"(clipped) : "r"(value));
    return clipped;
#else
    return value < -8192 ? -8192 : value > 8191 ? 8191 : value;
#endif
}

/* the current of one channel, clipped to 14 bits, + 32768: round(256 * sum * multiplier / 2^(32 + shift)); shift >= 1 */
static inline uint32_t current_of(int32_t sum, int32_t multiplier, uint8_t shift)
{
    int32_t product = (int32_t)((int64_t)(sum * 256) * multiplier >> 32);
    return (uint32_t)(clip_current(((product >> (shift - 1)) + 1) >> 1) + 32768);
}
