#include "inside.h"
#include "rescale.h"

/* out[y][x][o] = rescale(bias[o] + sum of kernel[o][ky][kx][c] * (in[.][.][c] - zero_point)) */
static void conv_2d(const window_t *window, const int8_t *in, const int8_t *kernel, const int32_t *bias,
                    const int32_t *multiplier, const uint8_t *shift, int8_t *out)
{
    int32_t y, x, o, ky, kx, c;
    for (y = 0; y < window->out_height; y++) {
        for (x = 0; x < window->out_width; x++) {
            const int8_t *weight = kernel;
            for (o = 0; o < window->out_channels; o++) {
                int32_t sum = bias[o];
                for (ky = 0; ky < window->taps_y; ky++) {
                    for (kx = 0; kx < window->taps_x; kx++, weight += window->channels) {
                        int32_t in_y = y * window->stride_y + ky * window->dilation_y - window->top;
                        int32_t in_x = x * window->stride_x + kx * window->dilation_x - window->left;
                        if (inside(window, in_y, in_x)) {
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
