/* The network forward, in the manner of `network.h`. Channels go by sixteen, `g`. */
#pragma once
#include "network.h"

static inline vec all(float value) { return _mm512_set1_ps(value); }
static inline vec times(vec a, vec b) { return _mm512_mul_ps(a, b); }

static inline vec sign_of(vec u) { return _mm512_or_ps(_mm512_and_ps(u, all(-0.f)), all(1)); }

static inline __mmask16 fired(vec level) { return _mm512_cmp_ps_mask(level, _mm512_setzero_ps(), _CMP_NEQ_UQ); }

/* level = floor(|u| - dead + 1) within [0, levels], with the sign of a signed u. u: the membrane in steps. */
static inline vec level_of(neuron_t neuron, vec u) {
    if (neuron.alphabet == 'r') return _mm512_max_ps(u, _mm512_setzero_ps());
    vec height = neuron.alphabet == 's' ? _mm512_abs_ps(u) : u;
    vec level = _mm512_floor_ps(_mm512_add_ps(height, all(1 - neuron.dead)));
    level = _mm512_min_ps(_mm512_max_ps(level, _mm512_setzero_ps()), all(neuron.levels));
    return neuron.alphabet == 's' ? times(level, sign_of(u)) : level;
}

/* The image's 3x3 neighbourhoods, in floats: one channel. */
static void convolve_image(layer_t *a) {
    const float *image = (float *)a->input;
    vec kernel[TAPS];
    for (int t = 0; t < TAPS; t++) kernel[t] = _mm512_loadu_ps(parameters + a->kernel + t * LANES);
    for (int b = 0; b < BATCH; b++)
        for (int y = 0; y < a->out; y++)
            for (int x = 0; x < a->out; x++) {
                const float *corner = image + (b * a->padded + y) * a->padded + x;
                vec sum = _mm512_setzero_ps();
                for (int t = 0; t < TAPS; t++)
                    sum = _mm512_fmadd_ps(all(corner[t / 3 * a->padded + t % 3]), kernel[t], sum);
                _mm512_store_ps(a->current + ((b * a->out + y) * a->out + x) * LANES, sum);
            }
}

static void set_planes(layer_t *a) {
    int c = a->in_channels, rows = a->padded;
    for (int b = 0; b < BATCH; b++)
        for (int g = 0; g < c; g += LANES)
            if (a->stride == 1)
                for (int p = 0; p < rows * rows; p += 16)
                    transpose(a->input + ((long)b * rows * rows + p) * c + g, c,
                              a->planes + ((long)b * c + g) * a->plane_size + p, a->plane_size);
            else
                for (int y = 0; y < rows; y++)
                    for (int odd = 0; odd < 2; odd++) {
                        long plane = ((long)b * 4 + y % 2 * 2 + odd) * c + g;
                        const bf16 *from = a->input + ((long)(b * rows + y) * rows + odd) * c + g;
                        for (int x = 0; x < a->flat; x += 16)
                            transpose(from + 2L * x * c, 2L * c,
                                      a->planes + plane * a->plane_size + y / 2 * a->flat + x, a->plane_size);
                    }
}

static void measure(layer_t *a, int g) {
    long pixels = a->out * a->out;
    double sums[LANES] = {0}, squares[LANES] = {0}, count = (double)BATCH * pixels;
    for (int b = 0; b < BATCH; b++) {
        vec sum = _mm512_setzero_ps(), square = sum;
        const float *current = a->current + b * pixels * a->channels + g;
        for (int p = 0; p < pixels; p++, current += a->channels) {
            vec value = _mm512_load_ps(current);
            sum = _mm512_add_ps(sum, value), square = _mm512_fmadd_ps(value, value, square);
        }
        for (int c = 0; c < LANES; c++) sums[c] += sum[c], squares[c] += square[c];
    }
    for (int c = 0; c < LANES; c++) {
        double mean = sums[c] / count, variance = fmax(squares[c] / count - mean * mean, 0);
        a->mean[g + c] = mean, a->inverse[g + c] = 1 / sqrt(variance + EPSILON);
        a->moving_mean[g + c] += MOMENTUM * (mean - a->moving_mean[g + c]);
        a->moving_variance[g + c] += MOMENTUM * (variance - a->moving_variance[g + c]);
    }
}

/* Batch normalization and firing; counts spikes of the first `images`. */
static void fire(layer_t *a, int g, int images, double *counts) {
    layer_t *next = a + 1 < layers + LAYERS ? a + 1 : 0;
    const neuron_t own = neuron; /* a copy of it stays in registers */
    vec per_step = all(neuron.alphabet == 'r' ? 1.f : expf(-parameters[a->step]));
    vec scale = times(_mm512_load_ps(a->inverse + g), _mm512_loadu_ps(parameters + a->gamma + g));
    vec offset = _mm512_loadu_ps(parameters + a->beta + g);
    offset = times(_mm512_fnmadd_ps(_mm512_load_ps(a->mean + g), scale, offset), per_step);
    scale = times(scale, per_step);
    vec heights = _mm512_setzero_ps();
    for (int b = 0; b < BATCH; b++) {
        vec sum = _mm512_setzero_ps();
        const float *current = a->current + (long)b * a->out * a->out * a->channels + g;
        for (int y = 0; y < a->out; y++)
            for (int x = 0; x < a->out; x++, current += a->channels) {
                vec level = level_of(own, _mm512_fmadd_ps(_mm512_load_ps(current), scale, offset));
                if (b < images) {
                    counts[0] += __builtin_popcount(fired(level));
                    counts[1] += __builtin_popcount(_mm512_cmp_ps_mask(level, _mm512_setzero_ps(), _CMP_LT_OQ));
                    heights = _mm512_add_ps(heights, _mm512_abs_ps(level));
                }
                if (!next) {
                    sum = _mm512_add_ps(sum, level);
                    continue;
                }
                long pixel = (long)(b * next->padded + y + next->offset) * next->padded + x + next->offset;
                _mm256_store_si256((__m256i *)(next->input + pixel * a->channels + g),
                                   (__m256i)_mm512_cvtneps_pbh(level));
            }
        vec mean = times(sum, all(step_of(a) / (a->out * a->out)));
        if (!next) _mm512_store_ps(pooled + b * a->channels + g, mean);
    }
    counts[2] += _mm512_reduce_add_ps(heights);
}

/* images: how many of the batch count. In training, statistics are those of the batch. */
static void forward(int images, int training) {
    for (layer_t *a = layers; a < layers + LAYERS; a++) {
        if (a == layers)
            convolve_image(a);
        else {
            int products = BATCH * a->out * (a->out / a->tile_rows);
            configure(a->tile_rows);
            multiply(products, a->rows_in, 2L * a->stride * a->in_channels, a->chunks, a->tap_offset, a->right,
                     a->channels / LANES, a->rows_out, 4L * a->channels);
        }
        double counts[3] = {0}, values = (double)images * a->out * a->out * a->channels;
        for (int g = 0; g < a->channels; g += LANES) {
            if (training)
                measure(a, g);
            else
                for (int c = g; c < g + LANES; c++)
                    a->mean[c] = a->moving_mean[c], a->inverse[c] = 1 / sqrtf(a->moving_variance[c] + EPSILON);
            fire(a, g, images, counts);
        }
        a->firing_rate = counts[0] / values, a->negative = counts[1] / values, a->mean_level = counts[2] / values;
        if (training && a + 1 < layers + LAYERS) set_planes(a + 1);
    }
    int channels = layers[LAYERS - 1].channels;
    for (int b = 0; b < BATCH; b++) {
        vec sum = _mm512_loadu_ps(parameters + dense_bias);
        for (int c = 0; c < channels; c++)
            sum =
                _mm512_fmadd_ps(all(pooled[b * channels + c]), _mm512_loadu_ps(parameters + dense + c * ROW), sum);
        _mm512_storeu_ps(logits + b * ROW, sum);
    }
}
