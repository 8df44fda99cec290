#include "inside.h"
#include "rescale.h"

/* out[y][x][o] = rescale(bias[o] + sum of kernel[ky][kx][o] * (in[.][.][o / depth] - zero_point)) */
static void depthwise_conv_2d(const window_t *window, const int8_t *in, const int8_t *kernel, const int32_t *bias,
                              const int32_t *multiplier, const uint8_t *shift, int8_t *out)
{
    int32_t depth = window->out_channels / window->channels;
    int32_t y, x, o, ky, kx;
    for (y = 0; y < window->out_height; y++) {
        for (x = 0; x < window->out_width; x++) {
            for (o = 0; o < window->out_channels; o++) {
                const int8_t *weight = kernel + o;
                int32_t sum = bias[o];
                for (ky = 0; ky < window->taps_y; ky++) {
                    for (kx = 0; kx < window->taps_x; kx++, weight += window->out_channels) {
                        int32_t in_y = y * window->stride_y + ky * window->dilation_y - window->top;
                        int32_t in_x = x * window->stride_x + kx * window->dilation_x - window->left;
                        if (inside(window, in_y, in_x)) {
                            int32_t position = (in_y * window->width + in_x) * window->channels + o / depth;
                            sum += *weight * (in[position] - window->zero_point);
                        }
                    }
                }
                *out++ = rescale(sum, multiplier[o], shift[o], window->out_zero, window->low, window->high);
            }
        }
    }
}
