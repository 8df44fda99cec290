#include "window.h"

/* whether an input pixel lies in the image */
static int inside(const window_t *window, int32_t y, int32_t x)
{
    return y >= 0 && y < window->height && x >= 0 && x < window->width;
}
