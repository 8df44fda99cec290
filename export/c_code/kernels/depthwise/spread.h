#include "layer.h"

#define MOST_TAPS 8
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_FEATURE_MVE)
#define NINE_PACKED /* weights of 3 x 3 windows: those of a row in three bytes of a word, no -128 among them */
#define BYTES_OF_CHANNEL(WINDOW)                                                                                       \
    ((WINDOW)->taps_y == 3 && (WINDOW)->taps_x == 3 ? 12 : (WINDOW)->taps_y * (WINDOW)->taps_x)
#else
#define BYTES_OF_CHANNEL(WINDOW) ((WINDOW)->taps_y * (WINDOW)->taps_x)
#endif

/* Adds what is in row y of the sources to the sums around it; rows: where its window begins in each row of sums. Of part
 * `number` of the channels of `parts`. Returns how many events that were. */
typedef uint32_t spread_t(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                          int32_t number, half_t *const *rows);
