#include "inside.h"

/* out[y][x][c] = the largest in[.][.][c] of the window */
static void max_pool_2d(const window_t *window, const int8_t *in, int8_t *out)
{
    int32_t y, x, c, ky, kx;
    for (y = 0; y < window->out_height; y++) {
        for (x = 0; x < window->out_width; x++) {
            for (c = 0; c < window->channels; c++) {
                int8_t largest = INT8_MIN;
                for (ky = 0; ky < window->taps_y; ky++) {
                    for (kx = 0; kx < window->taps_x; kx++) {
                        int32_t in_y = y * window->stride_y + ky - window->top;
                        int32_t in_x = x * window->stride_x + kx - window->left;
                        if (inside(window, in_y, in_x)) {
                            int8_t value = in[(in_y * window->width + in_x) * window->channels + c];
                            largest = value > largest ? value : largest;
                        }
                    }
                }
                *out++ = largest;
            }
        }
    }
}
