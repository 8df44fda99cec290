/* Magnitude pruning: of each kernel, the image's aside, the smallest weights become 0 and stay so, more of them after
 * every PRUNED_EVERY batches until PRUNED_BY of the training: a share of keep + (1 - keep) * (1 - passed)^3 stays. */
#pragma once
#include "network.h"

enum { PRUNED_EVERY = 100 };
static const float PRUNED_BY = .5f;

static int ascending(const void *a, const void *b) {
    float one = *(const float *)a, other = *(const float *)b;
    return (one > other) - (one < other);
}

static void prune(float keep, long batch, long batches) {
    static float *sizes;
    if (batch % PRUNED_EVERY) return;
    if (!sizes) sizes = zeros(4 * parameter_count);
    double left = fmax(0, 1 - batch / (PRUNED_BY * batches));
    for (layer_t *a = layers + 1; a < layers + LAYERS; a++) {
        float *kernel = parameters + a->kernel;
        int n = TAPS * a->in_channels * a->channels, gone = n * (1 - keep) * (1 - left * left * left);
        for (int k = 0; k < n; k++) sizes[k] = fabsf(kernel[k]);
        qsort(sizes, n, sizeof *sizes, ascending);
        for (int k = 0; k < n && gone; k++)
            if (fabsf(kernel[k]) <= sizes[gone - 1]) kernel[k] = trained[a->kernel + k] = 0;
    }
}
