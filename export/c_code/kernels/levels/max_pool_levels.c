#include "inside.h"
#include "levels.h"
#include "lowest_bit.h"

/* The largest level of a window, of levels that are not negative, and its marks. */
static void max_pool_levels(const window_t *window, const int8_t *in_marks, const int8_t *in, int8_t *out_marks,
                            int8_t *out)
{
    int32_t channels = window->channels, y, x, ky, kx, first;
    half_t *marks = (half_t *)(void *)out_marks;
    for (y = 0; y < window->out_height; y++) {
        for (x = 0; x < window->out_width; x++) {
            for (first = 0; first < channels; first += 16) {
                uint32_t any = 0;
                int8_t *largest = out + first;
                clear_levels(largest, channels - first);
                for (ky = 0; ky < window->taps_y; ky++) {
                    for (kx = 0; kx < window->taps_x; kx++) {
                        int32_t in_y = y * window->stride_y + ky - window->top;
                        int32_t in_x = x * window->stride_x + kx - window->left;
                        int32_t pixel = in_y * window->width + in_x;
                        uint32_t bits;
                        if (!inside(window, in_y, in_x))
                            continue;
                        bits = marks_at(in_marks, pixel, channels)[first / 16];
                        any |= bits;
                        for (; bits != 0; bits &= bits - 1) {
                            int32_t channel = lowest_bit(bits);
                            int8_t level = in[pixel * channels + first + channel];
                            if (level > largest[channel])
                                largest[channel] = level;
                        }
                    }
                }
                *marks++ = (half_t)any;
            }
            out += channels;
        }
    }
}
