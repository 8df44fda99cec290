/* the current of one channel, clipped to 16 bits, + 32768: round(256 * sum * multiplier / 2^(32 + shift)); shift >= 1 */
static inline uint32_t current_of(int32_t sum, int32_t multiplier, uint8_t shift)
{
    int32_t product = (int32_t)((int64_t)(sum * 256) * multiplier >> 32);
    int32_t rounded = ((product >> (shift - 1)) + 1) >> 1;
    return (uint32_t)((rounded < INT16_MIN ? INT16_MIN : rounded > INT16_MAX ? INT16_MAX : rounded) + 32768);
}
