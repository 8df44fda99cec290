#include "words.h"

/* Sums of 16 channels in 8 words. Channel c has the 16 bits c % 2 of word c / 2: its sum + 32768, which the generator has
 * proven to lie in [0, 65535]. Whatever carries from one into the other meanwhile is taken back by then: a word is
 * the number low + 65536 * high modulo 2^32, and so is every word that is added to it. */

/* Four weights w of one row are one word, stored as w + 128: channels 4k, 4k + 2, 4k + 1, 4k + 3, lowest byte first. */
#define LANES 0x00FF00FFu
#define ADD_ROW(OPERATION)                                                                                             \
    a OPERATION row[0] & LANES;                                                                                        \
    b OPERATION row[0] >> 8 & LANES;                                                                                   \
    c OPERATION row[1] & LANES;                                                                                        \
    d OPERATION row[1] >> 8 & LANES;                                                                                   \
    e OPERATION row[2] & LANES;                                                                                        \
    f OPERATION row[2] >> 8 & LANES;                                                                                   \
    g OPERATION row[3] & LANES;                                                                                        \
    h OPERATION row[3] >> 8 & LANES;

/* sums += the rows of spikes +1, less the rows of spikes -1 */
static void add_rows(word_t *sums, const uint32_t *weights, const half_t *plus, const half_t *plus_end,
                     const half_t *minus, const half_t *minus_end)
{
    uint32_t offset = 0x00800080u * (uint32_t)((plus_end - plus) - (minus_end - minus));
    uint32_t a = sums[0] - offset, b = sums[1] - offset, c = sums[2] - offset, d = sums[3] - offset;
    uint32_t e = sums[4] - offset, f = sums[5] - offset, g = sums[6] - offset, h = sums[7] - offset;
    while (plus != plus_end) {
        const uint32_t *row = weights + 4 * *plus++;
        ADD_ROW(+=)
    }
    while (minus != minus_end) {
        const uint32_t *row = weights + 4 * *minus++;
        ADD_ROW(-=)
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
    sums[4] = e, sums[5] = f, sums[6] = g, sums[7] = h;
}
