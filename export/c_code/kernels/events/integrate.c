#include "lanes.h"
#include "layer.h"
#include "scaled.h"
#include "vectors.h"

/* membrane[t] = carried(membrane[t - 1]) + round(scale * sum[t]); fires where it is not quiet, and then starts at 0.
 * Membranes are counted from the lowest quiet one on: `above`. The generator has proven that none needs saturation: what
 * would saturate fires either way. With DSP, Helium or AVX2 several channels at a time, where `lanes` says so. */
#if defined(__ARM_FEATURE_MVE)
/* One timestep of 16 channels. */
#define NEXT_SIXTEEN(CURRENT, T)                                                                                       \
    {                                                                                                                  \
        int8x16_t membrane = vqaddq_s8(carried, CURRENT);                                                              \
        uint8x16_t above = vreinterpretq_u8_s8(vsubq_n_s8(membrane, lowest));                                          \
        mve_pred16_t fires = vcmphiq_n_u8(above, span);                                                                \
        ((word_t *)(void *)(target + out[T]))[word] = spikes_of(fires, membrane);                                      \
        carried = vldrbq_gather_offset_s8(layer->carried, above);                              \
    }

static void integrate_lanes(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                            const int32_t *out)
{
    const int32_t *scale = layer->scale;
    int8_t lowest = (int8_t)layer->lowest;
    uint8_t span = (uint8_t)(layer->highest - layer->lowest);
    int32_t t, timesteps = layer->timesteps, word = pixel * layer->blocks, end = word + layer->blocks;
    for (; word != end; word++, sums += 8, scale += 32) {
        const word_t *sum = sums;
        int8x16_t carried = vdupq_n_s8(0), current, later;
        for (t = 0; t < timesteps; t += 2, sum += 2 * stride) {
            sixteen_scaled(sum, t + 1 < timesteps ? sum + stride : sum, scale, &current, &later);
            NEXT_SIXTEEN(current, t)
            if (t + 1 < timesteps)
                NEXT_SIXTEEN(later, t + 1)
        }
    }
}
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
/* Two channels at a time; 8 words hold what goes on to the next timestep. */
static void integrate_lanes(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                            const int32_t *out)
{
    int32_t decay = layer->decay, offset = (1 << 14) + layer->lowest * decay, t, j;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest) * EACH_ONE;
    int32_t block, timesteps = layer->timesteps, word = pixel * layer->blocks;
    for (block = 0; block < layer->blocks; block++, word++, sums += 8) {
        const word_t *sum = sums;
        uint32_t carried[8] = {0};
        for (t = 0; t < timesteps; t++, sum += stride) {
            uint32_t bits = 0;
            for (j = 7; j >= 0; j--) {
                const int32_t *scale = layer->scale + 32 * block + 4 * j;
                uint32_t above = __uadd16(carried[j], two_above(sum[j], scale));
                FIRE_TWO(above, span, bits)
                carried[j] = QUIET(two_carried(above, decay, offset));
            }
            ((word_t *)(void *)(target + out[t]))[word] = spikes_of(bits);
        }
    }
}
#elif defined(VECTORS_OF_SIXTEEN)
static void integrate_lanes(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                            const int32_t *out)
{
    const int32_t *scale = layer->scale;
    __m256i lowest = _mm256_set1_epi16((int16_t)layer->lowest), highest = _mm256_set1_epi16((int16_t)layer->highest);
    __m256i decay = _mm256_set1_epi16((int16_t)layer->decay);
    int32_t t, word = pixel * layer->blocks, end = word + layer->blocks;
    for (; word != end; word++, sums += 8, scale += 48) {
        const word_t *sum = sums;
        __m256i carried = _mm256_setzero_si256();
        for (t = 0; t < layer->timesteps; t++, sum += stride) {
            __m256i membrane = _mm256_adds_epi16(carried, vector_scaled(sum, scale));
            __m256i up = _mm256_cmpgt_epi16(membrane, highest), down = _mm256_cmpgt_epi16(lowest, membrane);
            ((word_t *)(void *)(target + out[t]))[word] = bits_of(up, down);
            carried = _mm256_andnot_si256(_mm256_or_si256(up, down), _mm256_mulhrs_epi16(membrane, decay));
        }
    }
}
#endif

/* One channel at two timesteps: fires where the membrane is not quiet, and otherwise leaves what the table says. */
#define NEXT_TWO(SUM, LATER_SUM)                                                                                       \
    {                                                                                                                  \
        int32_t above = *carried + scaled(SUM, scale), later = scaled(LATER_SUM, scale);                               \
        if ((uint32_t)above <= span)                                                                                   \
            later += table[above];                                                                                     \
        else                                                                                                           \
            spikes |= above < 0 ? bit << 16 : bit;                                                                     \
        if ((uint32_t)later <= span) {                                                                                 \
            *carried++ = table[later];                                                                                 \
        } else {                                                                                                       \
            *carried++ = 0;                                                                                            \
            later_spikes |= later < 0 ? bit << 16 : bit;                                                               \
        }                                                                                                              \
        bit <<= 1;                                                                                                     \
        scale += 3;                                                                                                    \
    }

/* Two timesteps of 16 channels at a time; 16 bytes hold what goes on to the next two. */
static void integrate(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                      const int32_t *out)
{
    const int8_t *table = layer->carried;
    uint32_t span = (uint32_t)(layer->highest - layer->lowest);
    int32_t t, block, timesteps = layer->timesteps, word = pixel * layer->blocks;
#ifdef SIGNED_SUMS
    if (layer->lanes != 0) {
        integrate_lanes(layer, sums, stride, pixel, target, out);
        return;
    }
#endif
    for (block = 0; block < layer->blocks; block++, word++) {
        int8_t left[16] = {0};
        for (t = 0; t < timesteps; t += 2) {
            int32_t later_stride = t + 1 < timesteps ? stride : 0; /* behind the last one: computed, and not stored */
            const int32_t *scale = layer->scale + 48 * block;
            const word_t *sum = sums + 8 * block + t * stride;
            int8_t *carried = left;
            uint32_t spikes = 0, later_spikes = 0, bit = 1;
            while (bit != 0x10000u) {
                uint32_t pair = *sum, later_pair = sum[later_stride];
                sum++;
                NEXT_TWO(pair & 0xFFFFu, later_pair & 0xFFFFu)
                NEXT_TWO(pair >> 16, later_pair >> 16)
            }
            ((word_t *)(void *)(target + out[t]))[word] = spikes;
            if (t + 1 < timesteps)
                ((word_t *)(void *)(target + out[t + 1]))[word] = later_spikes;
        }
    }
}
