#include "listed.h"
#include "sums.h"

static void add_narrow(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const half_t *list,
                       const half_t *plus, const half_t *minus, const half_t *end)
{
    const uint32_t *weights = (const uint32_t *)layer->weights;
    int32_t block;
    for (block = 0; block < layer->blocks; block++, from += 8, sums += 8, weights += 4 * rows)
        add_rows(from, sums, weights, list, plus, minus, end);
}

/* sums[o] = bias[o] + sum of weights[tap][c][o] * spike[.][.][c], only where a spike is */
static uint32_t gather_spikes(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    return listed(layer, base, in, y, x, sums, list, add_narrow);
}
