#include <string.h>

#include "lowest_bit.h"
#include "words.h"

/* words of spikes as int8 values -1, 0 and 1 */
static void unpack_spikes(int32_t pixels, int32_t channels, const int8_t *in, int8_t *out)
{
    const word_t *spikes = (const word_t *)(const void *)in;
    int32_t first;
    memset(out, 0, (size_t)(pixels * channels));
    for (; pixels > 0; pixels--, out += channels) {
        for (first = 0; first < channels; first += 16) {
            uint32_t up = *spikes & 0xFFFFu, down = *spikes >> 16;
            for (; up != 0; up &= up - 1)
                out[first + lowest_bit(up)] = 1;
            for (; down != 0; down &= down - 1)
                out[first + lowest_bit(down)] = -1;
            spikes++;
        }
    }
}
