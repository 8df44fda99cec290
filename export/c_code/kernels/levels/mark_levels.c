#include "levels.h"

/* Marks of int8 values where they are not 0. */
static void mark_levels(int32_t pixels, int32_t channels, const int8_t *in, int8_t *out)
{
    half_t *marks = (half_t *)(void *)out;
    int32_t c;
    for (; pixels > 0; pixels--) {
        uint32_t bits = 0;
        for (c = 0; c < channels; c++) {
            if (*in++ != 0)
                bits |= 1u << (c & 15);
            if ((c & 15) == 15 || c + 1 == channels) {
                *marks++ = (half_t)bits;
                bits = 0;
            }
        }
    }
}
