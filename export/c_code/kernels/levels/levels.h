/* Levels are int8 values, and marks: a half of a word for every 16 channels of a pixel, bit c where channel c is not 0.
 * Pixels lie in rows, the marks of a pixel side by side. */
#include "words.h"

NOT_ALWAYS_USED static const half_t *marks_at(const int8_t *base, int32_t pixel, int32_t channels)
{
    return (const half_t *)(const void *)base + pixel * ((channels + 15) / 16);
}

#if defined(__GNUC__)
typedef struct {
    uint32_t words[4];
} __attribute__((may_alias)) sixteen_t;
#else
typedef struct {
    uint32_t words[4];
} sixteen_t;
#endif

/* 0 for up to 16 channels of a pixel: memset of small C libraries goes byte by byte */
NOT_ALWAYS_USED static inline void clear_levels(int8_t *levels, int32_t channels)
{
    static const sixteen_t none = {{0, 0, 0, 0}};
    int32_t c;
    if (channels % 16 == 0) { /* as many as of all other pixels: aligned */
        *(sixteen_t *)(void *)levels = none;
        return;
    }
    for (c = 0; c < channels && c < 16; c++)
        levels[c] = 0;
}
