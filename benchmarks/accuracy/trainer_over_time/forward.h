/* The network forward, a layer at a time. */
#pragma once
#include "network.h"

/* sums, squares += of a row of currents. */
static void add_up(const layer_t *a, const float *current, double *sums, double *squares) {
    int channels = a->shape.channels, places = a->shape.out * a->shape.out;
    for (int g = 0; g < channels; g += AT_ONCE) {
        channels_t sum = {0}, square = {0};
        for (int p = 0; p < places; p++) {
            channels_t value = *(const channels_t *)(current + (long)p * channels + g);
            sum += value, square += value * value;
        }
        for (int c = 0; c < AT_ONCE; c++) sums[g + c] += sum[c], squares[g + c] += square[c];
    }
}

/* `count` rows from `r` on. */
static void convolve_rows(layer_t *a, long r, int count) {
    int size = neurons_of(a), in = inputs_of(a);
    const float *from = input_of(a) + r * in;
    if (a->current == input_of(a)) return;
    float *to = a->current + r * size;
#ifdef TILES
    if (on_tiles(a->shape)) {
        convolve_on_tiles(a->shape, a->packed, from, to);
        return;
    }
#endif
    for (int i = 0; i < count; i++, from += in, to += size)
        if (a->shape.kernel)
            convolve(a->shape, from, parameters + a->kernel, seen, to);
        else
            pool(a->shape, from, to);
}

/* Sums over all places and of squares become what normalizes; in training, moves what stands in for it. */
static void set_statistics(layer_t *a, double places, const double *sums, const double *squares, int training) {
    for (int c = 0; c < a->shape.channels; c++) {
        double mean = sums[c] / places, variance = fmax(squares[c] / places - mean * mean, 0);
        if (training) {
            a->moving_mean[c] += (1 - momentum) * (mean - a->moving_mean[c]);
            a->moving_variance[c] += (1 - momentum) * (variance - a->moving_variance[c]);
        } else
            mean = a->moving_mean[c], variance = a->moving_variance[c];
        a->mean[c] = mean, a->inverse[c] = 1 / sqrt(variance + EPSILON);
    }
}

/* Some rows after the other, which are in the cache when they are added up. */
static void convolve_all(layer_t *a, int rows, int training) {
    double sums[MOST_CHANNELS] = {0}, squares[MOST_CHANNELS] = {0};
    int group = rows_at_once(a), size = neurons_of(a);
#ifdef TILES
    if (on_tiles(a->shape)) pack(a->packed, a->shape, parameters + a->kernel);
#endif
    for (int r = 0; r < rows; r += group) {
        int count = rows - r < group ? rows - r : group;
        convolve_rows(a, r, count);
        for (int i = r; a->normed && training && i < r + count; i++) add_up(a, a->current + (long)i * size, sums, squares);
    }
    if (a->normed) set_statistics(a, (double)rows * a->shape.out * a->shape.out, sums, squares, training);
}

static void saturate(float most, int size, float *values) {
    for (int i = 0; i < size; i++) values[i] = fminf(fmaxf(values[i], -most), most);
}

/* A row of currents, normalized. */
static void normalize(const layer_t *a, long row, float *to) {
    int channels = a->shape.channels, size = neurons_of(a);
    const float *current = a->current + row * size;
    for (int g = 0; g < channels; g += AT_ONCE) {
        channels_t scale = *(channels_t *)(parameters + a->gamma + g) * *(channels_t *)(a->inverse + g);
        channels_t offset = *(channels_t *)(parameters + a->beta + g) - scale * *(channels_t *)(a->mean + g);
        for (int at = g; at < size; at += channels)
            *(channels_t *)(to + at) = scale * *(channels_t *)(current + at) + offset;
    }
}

/* The same plus the addend, where there are such; each saturates, and so does the sum. */
static void sum_row(const layer_t *a, long row, float *to) {
    int size = neurons_of(a), saturates = headroom && a->reader;
    const float most = largest_of(a);
    if (a->normed)
        normalize(a, row, to);
    else if (to != a->current + row * size)
        memcpy(to, a->current + row * size, 4L * size);
    if (saturates) saturate(most, size, to);
    if (!a->addend) return;
    move(to, layers[a->addend].value + row * size, size, 1);
    if (saturates) saturate(most, size, to);
}

/* The membranes of one image at all timesteps, and its values. */
static void fire_image(const layer_t *a, neuron_t own, int b, float *value) {
    int size = neurons_of(a);
    memset(state, 0, 4L * size);
    for (int t = 0; t < timesteps; t++, value += size) {
        float *here = membrane + (long)t * size;
        if (a->once && t)
            memcpy(here, membrane, 4L * size); /* at the first timestep it is the current */
        else
            sum_row(a, a->once ? b : b * timesteps + t, here);
        fire(own, size, a->spread, state, here, value);
    }
}

static void spread_amplitudes(layer_t *a) {
    int channels = a->shape.channels;
    for (int c = 0; c < channels && trained_amplitude == 'f'; c++)
        parameters[a->amplitude + c] = amplitude * factor_of(a);
    for (int i = 0; i < neurons_of(a); i++) a->spread[i] = parameters[a->amplitude + i % channels];
}

static void count_levels(layer_t *a, neuron_t own) {
    for (long i = 0; i < (long)timesteps * neurons_of(a); i++) a->counts[(int)level_of(own, membrane[i]) + LEVELS / 2]++;
}

static double firing_rate(const layer_t *a, int count) {
    long all = (long)count * timesteps * neurons_of(a), fired = 0;
    for (long i = 0; i < all; i++) fired += a->value[i] != 0;
    return (double)fired / all;
}

/* training: with the statistics of the batch. counting: the levels, too. */
static void forward(int count, int training, int counting) {
    for (layer_t *a = layers + 1; a <= layers + layer_count; a++) {
        int rows = rows_of(a, count), size = neurons_of(a);
        const neuron_t own = neuron_of(a);
        convolve_all(a, rows, training);
        if (a->fires) spread_amplitudes(a);
        for (int b = 0; b < count && a->fires; b++) {
            fire_image(a, own, b, a->value + (long)b * timesteps * size);
            if (counting) count_levels(a, own);
        }
        for (int r = 0; r < rows && !a->fires && (a->normed || a->addend); r++) sum_row(a, r, a->value + (long)r * size);
        if (a->fires && (budget || !training)) a->rate = firing_rate(a, count);
    }
    const layer_t *last = layers + layer_count;
    int channels = last->shape.channels, size = neurons_of(last);
    memset(pooled, 0, 4L * count * channels);
    for (int b = 0; b < count; b++) {
        for (long at = 0; at < (long)timesteps * size; at += channels)
            for (int c = 0; c < channels; c++) pooled[b * channels + c] += last->value[(long)b * timesteps * size + at + c];
        for (int c = 0; c < channels; c++) pooled[b * channels + c] *= (float)channels / (timesteps * size);
        for (int k = 0; k < CLASSES; k++) {
            float sum = parameters[dense_bias + k];
            for (int c = 0; c < channels; c++)
                sum += pooled[b * channels + c] * parameters[dense + c * CLASSES + k];
            logits[b * ROW + k] = sum;
        }
    }
}
