#include "lanes.h"
#include "layer.h"
#include "scaled.h"
#include "vectors.h"

#if defined(__ARM_FEATURE_MVE)
/* `integrate` for two timesteps, all in registers */
static void integrate_two(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                          const int32_t *out)
{
    const int32_t *scale = layer->scale;
    const word_t *end = sums + 8 * layer->blocks;
    word_t *first = (word_t *)(void *)(target + out[0]) + pixel * layer->blocks;
    word_t *second = (word_t *)(void *)(target + out[1]) + pixel * layer->blocks;
    int8_t lowest = (int8_t)layer->lowest;
    uint8_t span = (uint8_t)(layer->highest - layer->lowest);
    for (; sums != end; sums += 8, scale += 32) {
        int8x16_t membrane, later;
        uint8x16_t above;
        mve_pred16_t fires;
        sixteen_scaled(sums, sums + stride, scale, &membrane, &later);
        above = vreinterpretq_u8_s8(vsubq_n_s8(membrane, lowest));
        fires = vcmphiq_n_u8(above, span);
        *first++ = spikes_of(fires, membrane);
        later = vqaddq_s8(later, vldrbq_gather_offset_s8(layer->carried, above));
        fires = vcmphiq_n_u8(vreinterpretq_u8_s8(vsubq_n_s8(later, lowest)), span);
        *second++ = spikes_of(fires, later);
    }
}
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
/* Two timesteps of two channels. */
#define TWO_OF_TWO(PAIR)                                                                                               \
    above = two_above(sum[PAIR], scale + 4 * (PAIR)), later = two_above(next[PAIR], scale + 4 * (PAIR));               \
    FIRE_TWO(above, span, bits)                                                                                        \
    later = __uadd16(later, QUIET(two_carried(above, decay, offset)));                                                 \
    FIRE_TWO(later, span, later_bits)

/* `integrate` for two timesteps, all in registers */
static void integrate_two(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                          const int32_t *out)
{
    const int32_t *scale = layer->scale;
    const word_t *sum = sums, *next = sums + stride, *end = sums + 8 * layer->blocks;
    word_t *first = (word_t *)(void *)(target + out[0]) + pixel * layer->blocks;
    word_t *second = (word_t *)(void *)(target + out[1]) + pixel * layer->blocks;
    int32_t decay = layer->decay, offset = (1 << 14) + layer->lowest * decay;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest) * EACH_ONE;
    for (; sum != end; sum += 8, next += 8, scale += 32) {
        uint32_t bits = 0, later_bits = 0, above, later;
        TWO_OF_TWO(7) TWO_OF_TWO(6) TWO_OF_TWO(5) TWO_OF_TWO(4)
        TWO_OF_TWO(3) TWO_OF_TWO(2) TWO_OF_TWO(1) TWO_OF_TWO(0)
        *first++ = spikes_of(bits);
        *second++ = spikes_of(later_bits);
    }
}
#elif defined(VECTORS_OF_SIXTEEN)
/* `integrate` for two timesteps, all in registers */
static void integrate_two(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                          const int32_t *out)
{
    const int32_t *scale = layer->scale;
    const word_t *end = sums + 8 * layer->blocks;
    word_t *first = (word_t *)(void *)(target + out[0]) + pixel * layer->blocks;
    word_t *second = (word_t *)(void *)(target + out[1]) + pixel * layer->blocks;
    __m256i lowest = _mm256_set1_epi16((int16_t)layer->lowest), highest = _mm256_set1_epi16((int16_t)layer->highest);
    __m256i decay = _mm256_set1_epi16((int16_t)layer->decay);
    for (; sums != end; sums += 8, scale += 48) {
        __m256i membrane = vector_scaled(sums, scale), later = vector_scaled(sums + stride, scale);
        __m256i up = _mm256_cmpgt_epi16(membrane, highest), down = _mm256_cmpgt_epi16(lowest, membrane);
        __m256i left = _mm256_andnot_si256(_mm256_or_si256(up, down), _mm256_mulhrs_epi16(membrane, decay));
        *first++ = bits_of(up, down);
        later = _mm256_adds_epi16(left, later);
        *second++ = bits_of(_mm256_cmpgt_epi16(later, highest), _mm256_cmpgt_epi16(lowest, later));
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
