#include "words.h"

/* int8 values -1, 0 and 1 as words of spikes */
static void pack_spikes(int32_t pixels, int32_t channels, const int8_t *in, int8_t *out)
{
    word_t *spikes = (word_t *)(void *)out;
    int32_t c;
    for (; pixels > 0; pixels--) {
        uint32_t bits = 0;
        for (c = 0; c < channels; c++) {
            int32_t value = *in++;
            bits |= (value > 0 ? 1u : value < 0 ? 0x10000u : 0u) << (c & 15);
            if ((c & 15) == 15 || c + 1 == channels) {
                *spikes++ = bits;
                bits = 0;
            }
        }
    }
}
