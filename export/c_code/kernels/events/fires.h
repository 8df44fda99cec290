#include "lanes.h"
#include "vectors.h"

#define FIRE_PAIR(PAIR)                                                                                                \
    over = __usub16(sum[PAIR], above[PAIR]);                                                                           \
    __usub16(below[PAIR], over);                                                                                       \
    /* 2 is the least that fires above 0 */                                                                            \
    over = (uint32_t)__qadd16((int16x2_t)over, (int16x2_t)EACH_ONE);                                                   \
    bits = two_bits(__sel(EACH_ONE, over)) | bits << 2;

#ifdef LANES_OF_SIXTEEN
#define REACH_PAIR(PAIR)                                                                                               \
    __ssub16((int16x2_t)sum[PAIR], (int16x2_t)above[PAIR]);                                                            \
    bits = __sel(EACH_ONE, 0) | bits << 2;
#else
#define REACH_PAIR(PAIR) bits = ((sum[PAIR] + above[PAIR]) >> 15 & 0x00010001u) | bits << 2;
#endif

/* The word of spikes of 16 channels that fire where their sums reach one of two thresholds. Two channels at a time: bit 15
 * of each half says whether sum + above, and below - sum, are at least 32768. With Helium eight at a time, with AVX2
 * sixteen, and the thresholds themselves.
 * With DSP `above` is the lowest quiet sum, and `below` how many more are quiet. */
static inline uint32_t fires(const word_t *sum, const uint32_t *above, const uint32_t *below)
{
#if defined(__ARM_FEATURE_MVE)
    static const uint16_t eight_bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint32_t plus = 0, minus = 0;
    int32_t j;
    uint16x8_t bits = vldrhq_u16(eight_bits);
    for (j = 0; j < 8; j += 4, bits = vshlq_n_u16(bits, 8)) {
        int16x8_t eight = vldrhq_s16((const int16_t *)(const void *)(sum + j));
        int16x8_t up = vldrhq_s16((const int16_t *)(const void *)(above + j));
        int16x8_t down = vldrhq_s16((const int16_t *)(const void *)(below + j));
        plus = vaddvaq_p_u16(plus, bits, vcmpgeq_s16(eight, up));
        minus = vaddvaq_p_u16(minus, bits, vcmpleq_s16(eight, down));
    }
    return plus | minus << 16;
#elif defined(VECTORS_OF_SIXTEEN)
    __m256i sixteen = loaded(sum);
    return ~bits_of(_mm256_cmpgt_epi16(loaded(above), sixteen), _mm256_cmpgt_epi16(sixteen, loaded(below)));
#elif defined(LANES_OF_SIXTEEN)
    uint32_t bits = 0, over;
    FIRE_PAIR(7) FIRE_PAIR(6) FIRE_PAIR(5) FIRE_PAIR(4) FIRE_PAIR(3) FIRE_PAIR(2) FIRE_PAIR(1) FIRE_PAIR(0)
    return spikes_of(bits);
#else
    uint32_t plus = 0, minus = 0;
    int32_t j;
    for (j = 0; j < 8; j++) {
        plus |= ((sum[j] + above[j]) >> 15 & 0x00010001u) << 2 * j;
        minus |= ((below[j] - sum[j]) >> 15 & 0x00010001u) << 2 * j;
    }
    return ((plus | plus >> 15) & 0xFFFFu) | (minus | minus >> 15) << 16;
#endif
}

/* Bits of 16 channels where sums reach one threshold. */
NOT_ALWAYS_USED static inline uint32_t reaches(const word_t *sum, const uint32_t *above)
{
#if defined(__ARM_FEATURE_MVE)
    static const uint16_t eight_bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint16x8_t bits = vldrhq_u16(eight_bits);
    int16x8_t low = vldrhq_s16((const int16_t *)(const void *)sum);
    int16x8_t high = vldrhq_s16((const int16_t *)(const void *)(sum + 4));
    uint32_t found = vaddvq_p_u16(bits, vcmpgeq_s16(low, vldrhq_s16((const int16_t *)(const void *)above)));
    return vaddvaq_p_u16(found, vshlq_n_u16(bits, 8),
                         vcmpgeq_s16(high, vldrhq_s16((const int16_t *)(const void *)(above + 4))));
#elif defined(VECTORS_OF_SIXTEEN)
    __m256i below = _mm256_cmpgt_epi16(loaded(above), loaded(sum));
    return ~bits_of(below, below) & 0xFFFFu;
#else
    uint32_t bits = 0;
    REACH_PAIR(7) REACH_PAIR(6) REACH_PAIR(5) REACH_PAIR(4) REACH_PAIR(3) REACH_PAIR(2) REACH_PAIR(1) REACH_PAIR(0)
    return (bits | bits >> 15) & 0xFFFFu;
#endif
}
