#include "vectors.h"
#include "layer.h"

#define MOST_TAPS 8
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_FEATURE_MVE)
#define NINE_PACKED /* weights of 3 x 3 windows: those of a row in three bytes of a word, no -128 among them */
#define BYTES_OF_CHANNEL(WINDOW)                                                                                       \
    ((WINDOW)->taps_y == 3 && (WINDOW)->taps_x == 3 ? 12 : (WINDOW)->taps_y * (WINDOW)->taps_x)
#else
#define BYTES_OF_CHANNEL(WINDOW) ((WINDOW)->taps_y * (WINDOW)->taps_x)
#endif

#if defined(__ARM_FEATURE_MVE) || defined(VECTORS_OF_SIXTEEN)
#define SPREAD_ROWS /* see scatter_layer.c */
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

typedef int8x16_t sixteen_bytes_t;
#define load_bytes(FROM) vldrbq_s8(FROM)
#define store_bytes(TO, BYTES) vstrbq_s8(TO, BYTES)
#define added_bytes(ONE, OTHER) vaddq_s8(ONE, OTHER)
#define bytes_not_zero(BYTES) vaddvq_p_u8(vdupq_n_u8(1), vcmpneq_n_s8(BYTES, 0))
#else
typedef __m128i sixteen_bytes_t;
#define load_bytes(FROM) _mm_loadu_si128((const __m128i *)(const void *)(FROM))
#define store_bytes(TO, BYTES) _mm_storeu_si128((__m128i *)(void *)(TO), BYTES)
#define added_bytes(ONE, OTHER) _mm_add_epi8(ONE, OTHER)
#define bytes_not_zero(BYTES)                                                                                          \
    (16u - (uint32_t)__builtin_popcount((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(BYTES, _mm_setzero_si128()))))
#endif
#endif

/* Adds what is in row y of the sources to the sums around it; rows: where its window begins in each row of sums. Of part
 * `number` of the channels of `parts`. Returns how many events that were. With SPREAD_ROWS it writes what is there to
 * rows[0], as int8 numbers. */
typedef uint32_t spread_t(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                          int32_t number, half_t *const *rows);
