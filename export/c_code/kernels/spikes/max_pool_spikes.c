#include "inside.h"
#include "words.h"

/* The largest spike of a window: +1 where any is, -1 where all are. */
static void max_pool_spikes(const window_t *window, int32_t words, const int8_t *in, int8_t *out)
{
    const word_t *spikes = (const word_t *)(const void *)in;
    word_t *pooled = (word_t *)(void *)out;
    int32_t y, x, ky, kx, word;
    for (y = 0; y < window->out_height; y++) {
        for (x = 0; x < window->out_width; x++) {
            for (word = 0; word < words; word++) {
                uint32_t any = 0, all = 0xFFFFFFFFu;
                for (ky = 0; ky < window->taps_y; ky++) {
                    for (kx = 0; kx < window->taps_x; kx++) {
                        int32_t in_y = y * window->stride_y + ky - window->top;
                        int32_t in_x = x * window->stride_x + kx - window->left;
                        if (inside(window, in_y, in_x)) {
                            any |= spikes[(in_y * window->width + in_x) * words + word];
                            all &= spikes[(in_y * window->width + in_x) * words + word];
                        }
                    }
                }
                *pooled++ = (any & 0xFFFFu) | (all & 0xFFFF0000u);
            }
        }
    }
}
