#include "layer.h"
#include "levels.h"
#include "looked_at.h"
#include "lowest_bit.h"

/* Appends to a list what fired of 16 channels: bits, their values, and the row of weights of the first one; adds the
 * levels to total. At most 16 words. */
typedef word_t *append_t(word_t *list, uint32_t bits, const int8_t *values, uint32_t row, int32_t *total);

/* sums = from + the rows of a list, each times its level. `from` is the layer's bias at first, and then the sums;
 * total: of all levels of the list */
typedef void add_levels_t(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const word_t *list,
                          const word_t *end, int32_t total);

/* Lists what fired under the window of one output pixel, and hands on every full list, and the last one. Sources are marks
 * and values in turns. Returns how many words were listed. */
INLINED static uint32_t listed_levels(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                      word_t *sums, word_t *list, append_t *append, add_levels_t *add)
{
    const window_t *window = &layer->window;
    int32_t channels = window->channels, words = (channels + 15) / 16, rows = window->taps_y * window->taps_x * channels;
    int32_t joined = !layer->transposed && window->dilation_x == 1 && channels % 16 == 0; /* taps lie side by side */
    int32_t first = x * window->stride_x - window->left, ky, kx, source, total = 0;
    int32_t from_tap = joined && first < 0 ? -first : 0;
    int32_t to_tap = joined && first + window->taps_x > window->width ? window->width - first : window->taps_x;
    int32_t taps = joined ? to_tap - from_tap : 1;
    const word_t *from = layer->bias;
    word_t *event = list, *last = list + layer->list - 16;
    uint32_t listed_words = 0;
    for (ky = 0; ky < window->taps_y; ky++) {
        int32_t in_y = looked_at(layer->transposed, window->height, y, ky, window->stride_y, window->dilation_y,
                                 window->top);
        if (in_y < 0)
            continue;
        for (kx = from_tap; kx < to_tap; kx += taps) {
            int32_t in_x = joined ? first + kx
                                  : looked_at(layer->transposed, window->width, x, kx, window->stride_x,
                                              window->dilation_x, window->left);
            int32_t pixel = in_y * window->width + in_x;
            if (in_x < 0)
                continue;
            for (source = 0; source < layer->sources; source += 2) {
                const half_t *marks = marks_at(base + in[source], pixel, channels);
                const half_t *end = marks + taps * words;
                const int8_t *values = base + in[source + 1] + pixel * channels;
                uint32_t row = (uint32_t)((ky * window->taps_x + kx) * channels);
                for (; marks != end; values += 16, row += 16) {
                    uint32_t bits = *marks++;
                    if (bits == 0)
                        continue;
                    if (event > last) {
                        add(layer, from, sums, rows, list, event, total);
                        listed_words += (uint32_t)(event - list);
                        event = list, from = sums, total = 0;
                    }
                    event = append(event, bits, values, row, &total);
                }
            }
        }
    }
    add(layer, from, sums, rows, list, event, total);
    return listed_words + (uint32_t)(event - list);
}

/* An event is a word: 256 times where its row of weights begins, a row of 16 bytes, and its level as the lowest byte. */
#define EVENT_ROW(WEIGHTS, EVENT) ((const int8_t *)(const void *)(WEIGHTS) + ((EVENT) >> 8))
#define EVENT_LEVEL(EVENT) ((int32_t)(int8_t)(uint8_t)(EVENT))
#define NEXT_ROW 4096u

NOT_ALWAYS_USED static inline word_t *append_events(word_t *event, uint32_t bits, const int8_t *values, uint32_t row,
                                                    int32_t *total)
{
    for (; bits != 0; bits &= bits - 1) {
        uint32_t channel = (uint32_t)lowest_bit(bits);
        int32_t level = values[channel];
        *total += level;
        *event++ = (row + channel) * NEXT_ROW + ((uint32_t)level & 255u);
    }
    return event;
}
