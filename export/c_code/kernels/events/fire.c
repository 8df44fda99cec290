#include "lanes.h"
#include "layer.h"
#include "vectors.h"

#define FIRE_PAIR(PAIR)                                                                                                \
    over = __usub16(sum[PAIR], above[PAIR]);                                                                           \
    __usub16(below[PAIR], over);                                                                                       \
    /* 2 is the least that fires above 0 */                                                                            \
    over = (uint32_t)__qadd16((int16x2_t)over, (int16x2_t)EACH_ONE);                                                   \
    bits = two_bits(__sel(EACH_ONE, over)) | bits << 2;

/* No state: channel c fires where its sum reaches one of two thresholds. Two channels at a time: bit 15 of each half says
 * whether sum + above, and below - sum, are at least 32768. With Helium eight at a time, with AVX2 sixteen, and the thresholds
 * themselves.
 * With DSP `above` is the lowest quiet sum, and `below` how many more are quiet. */
static void fire(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                 const int32_t *out)
{
    int32_t t, block;
#if defined(__ARM_FEATURE_MVE)
    static const uint16_t eight_bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
#endif
    for (t = 0; t < layer->timesteps; t++, sums += stride) {
        word_t *spikes = (word_t *)(void *)(target + out[t]) + pixel * layer->blocks;
        const uint32_t *above = layer->above, *below = layer->below;
        const word_t *sum = sums;
        for (block = 0; block < layer->blocks; block++, sum += 8, above += 8, below += 8) {
#if defined(__ARM_FEATURE_MVE)
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
            *spikes++ = plus | minus << 16;
#elif defined(VECTORS_OF_SIXTEEN)
            __m256i sixteen = loaded(sum);
            *spikes++ = ~bits_of(_mm256_cmpgt_epi16(loaded(above), sixteen), _mm256_cmpgt_epi16(sixteen, loaded(below)));
#elif defined(LANES_OF_SIXTEEN)
            uint32_t bits = 0, over;
            FIRE_PAIR(7) FIRE_PAIR(6) FIRE_PAIR(5) FIRE_PAIR(4) FIRE_PAIR(3) FIRE_PAIR(2) FIRE_PAIR(1) FIRE_PAIR(0)
            *spikes++ = spikes_of(bits);
#else
            uint32_t plus = 0, minus = 0;
            int32_t j;
            for (j = 0; j < 8; j++) {
                plus |= ((sum[j] + above[j]) >> 15 & 0x00010001u) << 2 * j;
                minus |= ((below[j] - sum[j]) >> 15 & 0x00010001u) << 2 * j;
            }
            *spikes++ = ((plus | plus >> 15) & 0xFFFFu) | (minus | minus >> 15) << 16;
#endif
        }
    }
}
