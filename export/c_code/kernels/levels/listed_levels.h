#include "levels.h"
#include "lowest_bit.h"
#include "runs.h"

/* Appends to a list what fired of 16 channels: bits, their values, and the row of weights of the first one; adds the
 * levels to total. At most 16 words. */
typedef word_t *append_t(word_t *list, uint32_t bits, const int8_t *values, uint32_t row, int32_t *total);

/* sums = from + the rows of a list, each times its level. `from` is the layer's bias at first, and then the sums;
 * total: of all levels of the list */
typedef void add_levels_t(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const word_t *list,
                          const word_t *end, int32_t total);

/* A list that is being filled, and what becomes of it where it is full. */
typedef struct {
    const layer_t *layer;
    const int8_t *base;
    const int32_t *in;
    const word_t *from;
    word_t *sums, *list, *end;
    int32_t rows, total;
    uint32_t listed;
    add_levels_t *add;
} level_list_t;

static void add_levels(level_list_t *found)
{
    *found->end = 0; /* no event: their levels are not 0 */
    found->add(found->layer, found->from, found->sums, found->rows, found->list, found->end, found->total);
    found->listed += (uint32_t)(found->end - found->list);
    found->from = found->sums, found->end = found->list, found->total = 0;
}

/* Sources are marks and values in turns. */
INLINED static void list_levels(level_list_t *found, int32_t pixel, int32_t count, uint32_t row, append_t *append)
{
    int32_t channels = found->layer->window.channels, source, total = found->total;
    word_t *event = found->end, *last = found->list + found->layer->list - 16;
    for (source = 0; source < found->layer->sources; source += 2) {
        const half_t *marks = marks_at(found->base + found->in[source], pixel, channels);
        const half_t *end = marks + count * ((channels + 15) / 16);
        const int8_t *values = found->base + found->in[source + 1] + pixel * channels;
        uint32_t first = row;
        for (; marks != end; values += 16, first += 16) {
            uint32_t bits = *marks++;
            if (bits == 0)
                continue;
            if (event > last) {
                found->end = event, found->total = total;
                add_levels(found);
                event = found->end, total = 0;
            }
            event = append(event, bits, values, first, &total);
        }
    }
    found->end = event, found->total = total;
}

/* Lists what fired under the window of one output pixel, and hands on every full list, and the last one. Returns how many
 * words were listed. */
INLINED static uint32_t listed_levels(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                      word_t *sums, word_t *list, visit_t *visit, add_levels_t *add)
{
    int32_t rows = layer->window.taps_y * layer->window.taps_x * layer->window.channels;
    level_list_t found = {layer, base, in, layer->bias, sums, list, list, rows, 0, 0, add};
    visit_window(layer, y, x, visit, &found);
    add_levels(&found);
    return found.listed;
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

NOT_ALWAYS_USED static void list_events(void *found, int32_t pixel, int32_t count, uint32_t row)
{
    list_levels((level_list_t *)found, pixel, count, row, append_events);
}
