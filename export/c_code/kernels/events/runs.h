#include "layer.h"
#include "looked_at.h"

/* What is done for pixels under a window that lie side by side: the first one, how many, and the row of weights of its first
 * channel. */
typedef void visit_t(void *state, int32_t pixel, int32_t count, uint32_t row);

/* Visits all pixels under the window of one output pixel. Taps of a row lie side by side where their channels fill whole
 * words; else they are visited one by one. */
INLINED static void visit_window(const layer_t *layer, int32_t y, int32_t x, visit_t *visit, void *state)
{
    const window_t *window = &layer->window;
    int32_t channels = window->channels, width = window->width, taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;
    int32_t in_y = y * window->stride_y - window->top, in_x = x * window->stride_x - window->left;
    if (!layer->transposed && taps_y * taps_x == 1) {
        visit(state, in_y * width + in_x, 1, 0);
    } else if (!layer->transposed && window->dilation_x == 1 && channels % 16 == 0) {
        int32_t left = in_x < 0 ? -in_x : 0, right = in_x + taps_x > width ? width - in_x : taps_x;
        for (ky = 0; right > left && ky < taps_y; ky++, in_y += window->dilation_y)
            if (in_y >= 0 && in_y < window->height)
                visit(state, in_y * width + in_x + left, right - left, (uint32_t)((ky * taps_x + left) * channels));
    } else {
        for (ky = 0; ky < taps_y; ky++) {
            in_y = looked_at(layer->transposed, window->height, y, ky, window->stride_y, window->dilation_y, window->top);
            for (kx = 0; in_y >= 0 && kx < taps_x; kx++) {
                in_x = looked_at(layer->transposed, width, x, kx, window->stride_x, window->dilation_x, window->left);
                if (in_x >= 0)
                    visit(state, in_y * width + in_x, 1, (uint32_t)((ky * taps_x + kx) * channels));
            }
        }
    }
}
