#include "lowest_bit.h"
#include "runs.h"

/* sums = from + the rows of a list: of spikes +1 from its start to plus, of spikes -1 from minus to its end. `from` is
 * the layer's bias at first, and then the sums. */
typedef void add_t(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const half_t *list,
                   const half_t *plus, const half_t *minus, const half_t *end);

/* A list that is being filled, and what becomes of it where it is full. */
typedef struct {
    const layer_t *layer;
    const int8_t *base;
    const int32_t *in;
    const word_t *from;
    word_t *sums;
    half_t *list, *plus, *minus;
    int32_t rows;
    uint32_t spikes;
    add_t *add;
} spike_list_t;

static void add_spikes(spike_list_t *found)
{
    half_t *end = found->list + found->layer->list;
    found->add(found->layer, found->from, found->sums, found->rows, found->list, found->plus, found->minus, end);
    found->spikes += (uint32_t)((found->plus - found->list) + (end - found->minus));
    found->from = found->sums, found->plus = found->list, found->minus = end;
}

static void list_spikes(void *state, int32_t pixel, int32_t count, uint32_t row)
{
    spike_list_t *found = (spike_list_t *)state;
    int32_t words = (found->layer->window.channels + 15) / 16, source;
    half_t *plus = found->plus, *minus = found->minus;
    for (source = 0; source < found->layer->sources; source++) {
        const word_t *word = (const word_t *)(const void *)(found->base + found->in[source]) + pixel * words;
        const word_t *end = word + count * words;
        uint32_t first = row;
        for (; word != end; first += 16) {
            uint32_t both = *word++, up = both & 0xFFFFu, down = both >> 16;
            if (both == 0)
                continue;
            if (minus - plus < 16) {
                found->plus = plus, found->minus = minus;
                add_spikes(found);
                plus = found->plus, minus = found->minus;
            }
            for (; up != 0; up &= up - 1)
                *plus++ = (half_t)(first + (uint32_t)lowest_bit(up));
            for (; down != 0; down &= down - 1)
                *--minus = (half_t)(first + (uint32_t)lowest_bit(down));
        }
    }
    found->plus = plus, found->minus = minus;
}

/* Lists the rows of weights under the window of one output pixel where spikes are, and hands on every full list, and the
 * last one. Returns the number of spikes. */
static uint32_t listed(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x, word_t *sums,
                       half_t *list, add_t *add)
{
    int32_t rows = layer->window.taps_y * layer->window.taps_x * layer->window.channels;
    spike_list_t found = {layer, base, in, layer->bias, sums, list, list, 0, rows, 0, add};
    found.minus = list + layer->list;
    visit_window(layer, y, x, list_spikes, &found);
    add_spikes(&found);
    return found.spikes;
}
