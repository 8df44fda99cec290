#include "words.h"

/* Neurons of several channels at once. `scale` holds a multiplier and an offset for each channel:
 *     scaled = ((multiplier * sum >> 16) + offset) >> 13 */
#define SCALED_BITS 13
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* `scaled` << 13 of four sums, -32768 times which are given; negative multipliers, and behind them offsets. Nothing is
 * loaded ahead: that would only fill the stack. */
NOT_ALWAYS_USED static inline int32x4_t four_scaled(int32x4_t sums, const int32_t *scale)
{
    int32x4_t product = vqdmulhq_s32(sums, vldrwq_s32(scale));
    __asm__ volatile("" : : : "memory");
    return vaddq_s32(product, vldrwq_s32(scale + 4));
}

/* The same for 16 channels, clipped to int8; scales of every fourth channel stand together. */
NOT_ALWAYS_USED APART_FROM_LOOPS static int8x16_t sixteen_in_words(const word_t *sums, const int32_t *scale)
{
    const int16_t *halves = (const int16_t *)(const void *)sums;
    int16x8_t low, high, factor = vdupq_n_s16(-32768);
    int16x8x2_t parts;
    __asm__("" : "+r"(halves)); /* gcc 12 steps it by a register in the load itself, and there is no such load */
    parts = vld2q_s16(halves);
    low = vshrnbq_n_s32(parts.val[0], four_scaled(vmullbq_int_s16(parts.val[0], factor), scale), SCALED_BITS);
    low = vshrntq_n_s32(low, four_scaled(vmulltq_int_s16(parts.val[0], factor), scale + 8), SCALED_BITS);
    high = vshrnbq_n_s32(parts.val[1], four_scaled(vmullbq_int_s16(parts.val[1], factor), scale + 16), SCALED_BITS);
    high = vshrntq_n_s32(high, four_scaled(vmulltq_int_s16(parts.val[1], factor), scale + 24), SCALED_BITS);
    return vqmovntq_s16(vqmovnbq_s16(vdupq_n_s8(0), low), high);
}

/* Of eight sums, centres, shifts and factors 2^8 * `scaled`, clipped: moved = (sum + centre) << shift,
 * moved + (moved * factor >> 15). */
#define EIGHT_SCALED(SUMS)                                                                                             \
    SUMS = vqshlq_s16(vqaddq_s16(SUMS, centre), shift);                                                                \
    SUMS = vqaddq_s16(SUMS, vqdmulhq_s16(SUMS, factor));
#define EVEN_BYTES(SUMS) vqrshrnbq_n_s16(vreinterpretq_s8_s16(SUMS), SUMS, 8)
#define SCALES_OF_EIGHT(AT)                                                                                            \
    centre = vldrhq_s16(scales + (AT)), shift = vldrhq_s16(scales + (AT) + 8), factor = vldrhq_s16(scales + (AT) + 16);

/* `scaled` of 16 channels at two timesteps, clipped to int8. */
NOT_ALWAYS_USED static inline void sixteen_scaled(const word_t *sums, const word_t *next, const int32_t *scale,
                                                  int8x16_t *now, int8x16_t *later)
{
    if (*scale > 0) { /* 1, and then what 16 bits hold */
        const int16_t *scales = (const int16_t *)(const void *)(scale + 4);
        const int16_t *first = (const int16_t *)(const void *)sums, *second = (const int16_t *)(const void *)next;
        int16x8x2_t sum, more;
        int16x8_t centre, shift, factor;
        __asm__("" : "+r"(first), "+r"(second));
        sum = vld2q_s16(first), more = vld2q_s16(second);
        SCALES_OF_EIGHT(0)
        EIGHT_SCALED(sum.val[0]) EIGHT_SCALED(more.val[0])
        *now = EVEN_BYTES(sum.val[0]), *later = EVEN_BYTES(more.val[0]);
        __asm__ volatile("" : "+w"(*now), "+w"(*later) : : "memory"); /* or gcc would load ahead and spill */
        SCALES_OF_EIGHT(24)
        EIGHT_SCALED(sum.val[1]) EIGHT_SCALED(more.val[1])
        *now = vqrshrntq_n_s16(*now, sum.val[1], 8), *later = vqrshrntq_n_s16(*later, more.val[1], 8);
    } else {
        *now = sixteen_in_words(sums, scale), *later = sixteen_in_words(next, scale);
    }
}

/* The word of spikes where membranes fire. */
NOT_ALWAYS_USED static inline uint32_t spikes_of(mve_pred16_t fires, int8x16_t membrane)
{
    mve_pred16_t down = (mve_pred16_t)(vcmpltq_n_s8(membrane, 0) & fires), up = (mve_pred16_t)(fires & ~down);
    uint32_t spikes;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(spikes) : "r"(up), "r"(down));
    return spikes;
}
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

/* low >> (16 - shift), and in the upper half high >> (16 - shift) */
#define TWO_SHIFTED(LOW, HIGH, SHIFT, WORD)                                                                            \
    __asm__("pkhbt %0, %1, %2, lsl #" #SHIFT : "=r"(WORD) : "r"((LOW) >> (16 - SHIFT)), "r"(HIGH));

/* `scaled` for two channels, with an offset that counts it from the lowest quiet membrane on. */
NOT_ALWAYS_USED static inline uint32_t two_above(uint32_t sums, const int32_t *scale)
{
    int32_t low = __smlawb(scale[0], (int32_t)sums, scale[1]), high = __smlawt(scale[2], (int32_t)sums, scale[3]);
    uint32_t above;
    TWO_SHIFTED(low, high, 3, above)
    return above;
}

/* What membranes leave: round(decay * membrane / 2^15), with an offset as they are counted from the lowest on. */
NOT_ALWAYS_USED static inline uint32_t two_carried(uint32_t above, int32_t decay, int32_t offset)
{
    int32_t low = __smlabb((int32_t)above, decay, offset), high = __smlatb((int32_t)above, decay, offset);
    uint32_t carried;
    TWO_SHIFTED(low, high, 1, carried)
    return carried;
}

/* Lanes clipped to 0..3. */
NOT_ALWAYS_USED static inline uint32_t two_bits(uint32_t lanes)
{
    uint32_t bits;
    __asm__("usat16 %0, #2, %1" : "=r"(bits) : "r"(lanes));
    return bits;
}

/* Two bits for each of two channels: 0 where it fires below 0, 2 or 3 where above, else 1; the pairs in front of them
 * take the place of lower bits. SPAN and more of ABOVE are quiet, at least 2. QUIET makes what belongs to a channel that
 * fires 0. */
#define EACH_ONE 0x00010001u
#define FIRE_TWO(ABOVE, SPAN, BITS)                                                                                    \
    __usub16(SPAN, ABOVE);                                                                                             \
    BITS = two_bits(__sel(EACH_ONE, ABOVE)) | BITS << 2;
#define QUIET(LANES) __sel(LANES, 0)

/* The word of spikes of the bits of 8 pairs, the last one first. */
NOT_ALWAYS_USED static inline uint32_t spikes_of(uint32_t bits)
{
    uint32_t plus = bits >> 1 & 0x55555555u, minus = ~(bits | bits >> 1) & 0x55555555u, even, odd;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(even) : "r"(plus), "r"(minus));
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(odd) : "r"(plus), "r"(minus));
    return even | odd << 1;
}
#endif
