#include "listed.h"
#include "sums.h"
#include "vectors.h"

#ifdef VECTORS_OF_SIXTEEN
#define EACH(WHAT) WHAT(0) WHAT(1) WHAT(2) WHAT(3)
#define BEGIN(BLOCK) sum[BLOCK] = loaded(from + 8 * (BLOCK));
#define ADD(BLOCK) sum[BLOCK] = _mm256_add_epi16(sum[BLOCK], widened(row + (BLOCK) * next));
#define TAKE(BLOCK) sum[BLOCK] = _mm256_sub_epi16(sum[BLOCK], widened(row + (BLOCK) * next));
#define END(BLOCK) stored(sums + 8 * (BLOCK), sum[BLOCK]);

/* add_rows for four blocks of channels, so that the list is read once */
static void add_four_blocks(const word_t *from, word_t *sums, const int8_t *weights, int32_t next, const half_t *plus,
                          const half_t *plus_end, const half_t *minus, const half_t *minus_end)
{
    __m256i sum[4];
    EACH(BEGIN)
    while (plus != plus_end) {
        const int8_t *row = weights + 16 * *plus++;
        EACH(ADD)
    }
    while (minus != minus_end) {
        const int8_t *row = weights + 16 * *minus++;
        EACH(TAKE)
    }
    EACH(END)
}
#endif

static void add_narrow(const layer_t *layer, const word_t *from, word_t *sums, int32_t rows, const half_t *list,
                       const half_t *plus, const half_t *minus, const half_t *end)
{
    const uint32_t *weights = (const uint32_t *)layer->weights;
    int32_t block = 0;
#ifdef VECTORS_OF_SIXTEEN
    for (; block + 4 <= layer->blocks; block += 4, from += 32, sums += 32, weights += 16 * rows)
        add_four_blocks(from, sums, (const int8_t *)weights, 16 * rows, list, plus, minus, end);
#endif
    for (; block < layer->blocks; block++, from += 8, sums += 8, weights += 4 * rows)
        add_rows(from, sums, weights, list, plus, minus, end);
}

/* sums[o] = bias[o] + sum of weights[tap][c][o] * spike[.][.][c], only where a spike is */
static uint32_t gather_spikes(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                              word_t *sums, half_t *list)
{
    return listed(layer, base, in, y, x, sums, list, add_narrow);
}
