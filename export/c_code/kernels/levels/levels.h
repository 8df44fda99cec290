/* Levels are int8 values, and marks: a half of a word for every 16 channels of a pixel, bit c where channel c is not 0.
 * Pixels lie in rows, the marks of a pixel side by side. */
#include "words.h"

NOT_ALWAYS_USED static const half_t *marks_at(const int8_t *base, int32_t pixel, int32_t channels)
{
    return (const half_t *)(const void *)base + pixel * ((channels + 15) / 16);
}

/* 0 for up to 16 channels of a pixel */
NOT_ALWAYS_USED static inline void clear_levels(int8_t *levels, int32_t channels)
{
    int32_t c, count = channels < 16 ? channels : 16;
    if (channels % 4 == 0) { /* of all pixels alike: aligned */
        word_t *words = (word_t *)(void *)levels;
        for (c = 0; c < count; c += 4)
            *words++ = 0;
    } else {
        for (c = 0; c < count; c++)
            levels[c] = 0;
    }
}
