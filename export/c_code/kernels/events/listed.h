#include "layer.h"
#include "looked_at.h"
#include "lowest_bit.h"

/* sums = from + the rows of a list: of spikes +1 from its start to plus, of spikes -1 from minus to its end. `from` is
 * the layer's bias at first, and then the sums. */
typedef void add_t(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const half_t *list,
                   const half_t *plus, const half_t *minus, const half_t *end);

/* Lists the rows of weights under the window of one output pixel where spikes are, and hands on every full list, and the
 * last one. Returns the number of spikes. */
static uint32_t listed(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x, word_t *sums,
                       half_t *list, add_t *add)
{
    const window_t *window = &layer->window;
    int32_t words = (window->channels + 15) / 16, rows = window->taps_y * window->taps_x * window->channels;
    const word_t *from = layer->bias;
    half_t *plus = list, *end = list + layer->list, *minus = end;
    uint32_t events = 0;
    int32_t ky, kx, source, word, row = 0;
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
                for (word = 0; word < words; word++) {
                    uint32_t first = (uint32_t)(row + 16 * word), up = pixel[word] & 0xFFFFu, down = pixel[word] >> 16;
                    if (pixel[word] == 0)
                        continue;
                    if (minus - plus < 16) {
                        add(layer, from, sums, rows, list, plus, minus, end);
                        events += (uint32_t)((plus - list) + (end - minus));
                        plus = list, minus = end, from = sums;
                    }
                    for (; up != 0; up &= up - 1)
                        *plus++ = (half_t)(first + (uint32_t)lowest_bit(up));
                    for (; down != 0; down &= down - 1)
                        *--minus = (half_t)(first + (uint32_t)lowest_bit(down));
                }
            }
        }
    }
    add(layer, from, sums, rows, list, plus, minus, end);
    return events + (uint32_t)((plus - list) + (end - minus));
}
