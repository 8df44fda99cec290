#include "inside.h"
#include "rescale.h"

/* out[y][x][o] = rescale(bias[o] + sum of kernel[o][ky][kx][c] * (in[iy][ix][c] - zero_point))
 * over the taps with iy * stride_y + ky == y + top, and x likewise. */
static void transpose_conv(const window_t *window, const int8_t *in, const int8_t *kernel, const int32_t *bias,
                           const int32_t *multiplier, const uint8_t *shift, int8_t *out)
{
    int32_t y, x, o, ky, kx, c;
    for (y = window->top; y < window->out_height + window->top; y++) {
        for (x = window->left; x < window->out_width + window->left; x++) {
            const int8_t *weight = kernel;
            for (o = 0; o < window->out_channels; o++) {
                int32_t sum = bias[o];
                for (ky = 0; ky < window->taps_y; ky++) {
                    for (kx = 0; kx < window->taps_x; kx++, weight += window->channels) {
                        int32_t in_y = (y - ky) / window->stride_y, in_x = (x - kx) / window->stride_x;
                        if (y >= ky && x >= kx && in_y * window->stride_y == y - ky &&
                            in_x * window->stride_x == x - kx && inside(window, in_y, in_x)) {
                            const int8_t *pixel = in + (in_y * window->width + in_x) * window->channels;
                            for (c = 0; c < window->channels; c++)
                                sum += weight[c] * (pixel[c] - window->zero_point);
                        }
                    }
                }
                *out++ = rescale(sum, multiplier[o], shift[o], window->out_zero, window->low, window->high);
            }
        }
    }
}
