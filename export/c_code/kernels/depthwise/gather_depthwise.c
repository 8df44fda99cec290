#include "inside.h"
#include "lowest_bit.h"
#include "lane.h"
#include "layer.h"
#include "start_sums.h"

/* sums[c] = bias[c] + sum of weights[tap][c] * spike[.][.][c], only where a spike is */
static uint32_t gather_depthwise(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                                 word_t *sums, half_t *list)
{
    const window_t *window = &layer->window;
    const int8_t *weights = (const int8_t *)layer->weights;
    half_t *lanes = (half_t *)(void *)sums;
    uint32_t events = 0;
    int32_t words = layer->blocks, ky, kx, source, word;
    (void)list;
    start_sums(sums, layer->bias, layer->blocks);
    for (ky = 0; ky < window->taps_y; ky++) {
        int32_t in_y = y * window->stride_y + ky * window->dilation_y - window->top;
        for (kx = 0; kx < window->taps_x; kx++, weights += window->channels) {
            int32_t in_x = x * window->stride_x + kx * window->dilation_x - window->left;
            if (!inside(window, in_y, in_x))
                continue;
            for (source = 0; source < layer->sources; source++) {
                const word_t *pixel = (const word_t *)(const void *)(base + in[source]);
                pixel += (in_y * window->width + in_x) * words;
                for (word = 0; word < words; word++) {
                    uint32_t up = pixel[word] & 0xFFFFu, down = pixel[word] >> 16;
                    const int8_t *weight = weights + 16 * word;
                    half_t *sum = lanes + 16 * word;
                    for (; up != 0; up &= up - 1, events++) {
                        int32_t channel = lowest_bit(up);
                        sum[LANE(channel)] = (half_t)(sum[LANE(channel)] + weight[channel]);
                    }
                    for (; down != 0; down &= down - 1, events++) {
                        int32_t channel = lowest_bit(down);
                        sum[LANE(channel)] = (half_t)(sum[LANE(channel)] - weight[channel]);
                    }
                }
            }
        }
    }
    return events;
}
