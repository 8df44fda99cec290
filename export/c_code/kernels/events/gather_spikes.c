#include <string.h>

#include "looked_at.h"
#include "lowest_bit.h"
#include "layer.h"
#include "sums.h"

/* sums[o] = bias[o] + sum of weights[tap][c][o] * spike[.][.][c], only where a spike is.
 * The list holds rows of weights: those of spikes +1 from its start, those of spikes -1 from its end. */
static uint32_t gather_spikes(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    int32_t words = (window->channels + 15) / 16, rows = window->taps_y * window->taps_x * window->channels;
    half_t *plus = list, *end = list + layer->list, *minus = end;
    uint32_t events = 0;
    int32_t ky, kx, source, word, block, row = 0;
    memcpy(sums, layer->bias, (size_t)layer->blocks * 8 * sizeof(word_t));
    for (ky = 0; ky < window->taps_y; ky++) {
        int32_t in_y = looked_at(layer->transposed, window->height, y, ky, window->stride_y, window->dilation_y,
                                 window->top);
        for (kx = 0; kx < window->taps_x; kx++, row += window->channels) {
            int32_t in_x = looked_at(layer->transposed, window->width, x, kx, window->stride_x, window->dilation_x,
                                     window->left);
            if (in_y < 0 || in_x < 0)
                continue;
            for (source = 0; source < layer->sources; source++) {
                const word_t *pixel = (const word_t *)(const void *)(base + in[source]);
                pixel += (in_y * window->width + in_x) * words;
                if (minus - plus < window->channels) {
                    for (block = 0; block < layer->blocks; block++)
                        add_rows(sums + 8 * block, (const uint32_t *)layer->weights + 4 * rows * block, list, plus, minus, end);
                    events += (uint32_t)((plus - list) + (end - minus));
                    plus = list, minus = end;
                }
                for (word = 0; word < words; word++) {
                    uint32_t first = (uint32_t)(row + 16 * word), up = pixel[word] & 0xFFFFu, down = pixel[word] >> 16;
                    for (; up != 0; up &= up - 1)
                        *plus++ = (half_t)(first + (uint32_t)lowest_bit(up));
                    for (; down != 0; down &= down - 1)
                        *--minus = (half_t)(first + (uint32_t)lowest_bit(down));
                }
            }
        }
    }
    for (block = 0; block < layer->blocks; block++)
        add_rows(sums + 8 * block, (const uint32_t *)layer->weights + 4 * rows * block, list, plus, minus, end);
    return events + (uint32_t)((plus - list) + (end - minus));
}
