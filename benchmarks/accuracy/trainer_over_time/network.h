/* A network over timesteps, forward and backward: layers of a convolution, a batch normalization, an addend and
 * neurons, each optional but the first; the mean over places and timesteps, a dense layer.
 * Arrays are [image][timestep][pixel][channel]; what sees the image alone has no timesteps. */
#pragma once
#include "neuron.h"

enum { MOST_LAYERS = 16, BATCH = 64, CLASSES = 10, ROW = 16, LEVELS = 256 }; /* ROW: of classes, padded */
static const float EPSILON = 1e-3f, MOMENTUM = .9f;

/* source, addend: numbers of layers, 0 the image or none. fires, normed: 0 or 1. once: sees the image. */
typedef struct {
    int source, addend, fires, normed, once;
    shape_t shape;
    int kernel, gamma, beta, amplitude; /* where they stand in `parameters` */
    float *current, *value, *membrane, *level, *grad, *transposed; /* value: current or amplitude * level */
    float *mean, *inverse, *moving_mean, *moving_variance;
    double counts[LEVELS]; /* of level - LEVELS / 2 */
} layer_t;

static layer_t layers[MOST_LAYERS + 1]; /* from 1 on */
static int layer_count, timesteps = 1, dense, dense_bias, parameter_count, image_size;
static neuron_t neuron = {'s', 'r', 1, .5f, .25f, 1};
static char trained_amplitude = 'n'; /* n(one), l(ayer) or c(hannel) */
static float *parameters, *gradients, *images, *seen, *state;
static float pooled[BATCH * 1024], logits[BATCH * ROW];

static int neurons_of(const layer_t *a) { return a->shape.out * a->shape.out * a->shape.channels; }
static int rows_of(const layer_t *a, int count) { return a->once ? count : count * timesteps; }

/* A layer behind those there are. */
static void add_layer(int source, int kernel, int stride, int channels, int normed, int addend, int fires) {
    layer_t *a = &layers[++layer_count], *from = &layers[source];
    if (layer_count > MOST_LAYERS) exit(2);
    *a = (layer_t){.source = source, .addend = addend, .fires = fires, .normed = normed, .once = !source};
    int size = source ? from->shape.out : image_size, in = source ? from->shape.channels : 1;
    a->shape = shape_of(size, in, channels, kernel, stride);
    a->kernel = parameter_count, a->gamma = a->kernel + depth_of(a->shape) * channels;
    a->beta = a->gamma + channels * normed, a->amplitude = a->beta + channels * normed;
    parameter_count = a->amplitude + channels * fires;
    long size_of_all = (long)BATCH * timesteps * neurons_of(a);
    float **arrays[] = {&a->current, &a->value, &a->membrane, &a->level, &a->grad};
    for (int i = 0; i < 5; i++) *arrays[i] = zeros(size_of_all);
    float **statistics[] = {&a->mean, &a->inverse, &a->moving_mean, &a->moving_variance};
    for (int i = 0; i < 4; i++) *statistics[i] = zeros(channels);
    a->transposed = zeros(depth_of(a->shape) * channels);
}

static void finish(void) {
    int channels = layers[layer_count].shape.channels, widest = 0;
    dense = parameter_count, dense_bias = dense + channels * CLASSES, parameter_count = dense_bias + CLASSES;
    parameters = zeros(parameter_count), gradients = zeros(parameter_count);
    for (layer_t *a = layers + 1; a <= layers + layer_count; a++) {
        int size = a->shape.out * a->shape.out * (depth_of(a->shape) + a->shape.channels);
        widest = size > widest ? size : widest;
    }
    seen = zeros(widest), state = zeros(widest), images = zeros((long)BATCH * image_size * image_size);
}

static void normalize(layer_t *a, int rows, int training) {
    int channels = a->shape.channels;
    long places = (long)rows * a->shape.out * a->shape.out;
    double sums[1024] = {0}, squares[1024] = {0};
    for (int c = 0; c < channels && !training; c++)
        a->mean[c] = a->moving_mean[c], a->inverse[c] = 1 / sqrtf(a->moving_variance[c] + EPSILON);
    if (training) {
        for (long p = 0; p < places; p++)
            for (int c = 0; c < channels; c++) {
                double value = a->current[p * channels + c];
                sums[c] += value, squares[c] += value * value;
            }
        for (int c = 0; c < channels; c++) {
            double mean = sums[c] / places, variance = fmax(squares[c] / places - mean * mean, 0);
            a->mean[c] = mean, a->inverse[c] = 1 / sqrt(variance + EPSILON);
            a->moving_mean[c] += (1 - MOMENTUM) * (mean - a->moving_mean[c]);
            a->moving_variance[c] += (1 - MOMENTUM) * (variance - a->moving_variance[c]);
        }
    }
    const float *gamma = parameters + a->gamma, *beta = parameters + a->beta;
    for (long p = 0; p < places; p++) /* `current` keeps the normal, which the way back needs */
        for (int c = 0; c < channels; c++) {
            float normal = (a->current[p * channels + c] - a->mean[c]) * a->inverse[c];
            a->current[p * channels + c] = normal, a->value[p * channels + c] = normal * gamma[c] + beta[c];
        }
}

static void fire_all(layer_t *a, int count) {
    int size = neurons_of(a), channels = a->shape.channels;
    const float *amplitude = parameters + a->amplitude;
    for (int b = count - 1; b >= 0; b--) { /* from the last one: currents of the image lie in front of the values */
        memset(state, 0, 4L * size);
        float *current = a->value + (long)(a->once ? b : b * timesteps) * size;
        static float kept[1 << 16];
        if (a->once) memcpy(kept, current, 4L * size);
        for (int t = 0; t < timesteps; t++) {
            long at = (long)(b * timesteps + t) * size;
            fire(neuron, size, a->once ? kept : current + (long)t * size, state, a->membrane + at, a->level + at);
            for (int p = 0; p < size; p += channels)
                for (int c = 0; c < channels; c++) a->value[at + p + c] = amplitude[c] * a->level[at + p + c];
        }
    }
}

/* training: with the statistics of the batch. */
static void forward(int count, int training) {
    for (layer_t *a = layers + 1; a <= layers + layer_count; a++) {
        int rows = rows_of(a, count), size = neurons_of(a), in = a->shape.size * a->shape.size * a->shape.in;
        const float *from = a->once ? images : layers[a->source].value;
        float *to = a->normed ? a->current : a->value;
        for (int r = 0; r < rows; r++)
            convolve(a->shape, from + (long)r * in, parameters + a->kernel, seen, to + (long)r * size);
        if (a->normed) normalize(a, rows, training);
        for (long i = 0; a->addend && i < (long)rows * size; i++) a->value[i] += layers[a->addend].value[i];
        if (a->fires) fire_all(a, count);
    }
    const layer_t *last = layers + layer_count;
    int channels = last->shape.channels, size = neurons_of(last);
    memset(pooled, 0, 4L * count * channels);
    for (int b = 0; b < count; b++) {
        for (long i = 0; i < (long)timesteps * size; i++)
            pooled[b * channels + i % channels] += last->value[(long)b * timesteps * size + i];
        for (int c = 0; c < channels; c++) pooled[b * channels + c] *= (float)channels / (timesteps * size);
        for (int k = 0; k < CLASSES; k++) {
            float sum = parameters[dense_bias + k];
            for (int c = 0; c < channels; c++)
                sum += pooled[b * channels + c] * parameters[dense + c * CLASSES + k];
            logits[b * ROW + k] = sum;
        }
    }
}

/* From the gradient of the values to that of the currents, which of an image are as many as images. */
static void fire_all_back(layer_t *a, int count) {
    int size = neurons_of(a), channels = a->shape.channels;
    const float *amplitude = parameters + a->amplitude;
    float *by_amplitude = gradients + a->amplitude;
    for (int b = 0; b < count; b++) {
        memset(state, 0, 4L * size);
        for (int t = timesteps - 1; t >= 0; t--) {
            long at = (long)(b * timesteps + t) * size;
            for (int p = 0; p < size; p += channels)
                for (int c = 0; c < channels; c++) {
                    by_amplitude[c] += a->grad[at + p + c] * a->level[at + p + c];
                    a->grad[at + p + c] *= amplitude[c];
                }
            fire_back(neuron, size, a->membrane + at, a->grad + at, state);
        }
        for (int t = 0; a->once && t < timesteps; t++)
            for (int i = 0; i < size; i++) {
                float grad = a->grad[(long)(b * timesteps + t) * size + i];
                a->grad[(long)b * size + i] = t ? a->grad[(long)b * size + i] + grad : grad;
            }
    }
    float sum = 0;
    for (int c = 0; c < channels; c++) sum += by_amplitude[c];
    for (int c = 0; c < channels && trained_amplitude != 'c'; c++)
        by_amplitude[c] = trained_amplitude == 'l' ? sum : 0;
}

static void normalize_back(layer_t *a, int rows) {
    int channels = a->shape.channels;
    long places = (long)rows * a->shape.out * a->shape.out;
    double sums[1024] = {0}, products[1024] = {0};
    for (long p = 0; p < places; p++)
        for (int c = 0; c < channels; c++) {
            double grad = a->grad[p * channels + c];
            sums[c] += grad, products[c] += grad * a->current[p * channels + c];
        }
    for (int c = 0; c < channels; c++) gradients[a->beta + c] = sums[c], gradients[a->gamma + c] = products[c];
    float mean[1024], product[1024], scale[1024];
    for (int c = 0; c < channels; c++) {
        mean[c] = sums[c] / places, product[c] = products[c] / places;
        scale[c] = parameters[a->gamma + c] * a->inverse[c];
    }
    for (long p = 0; p < places; p++)
        for (int c = 0; c < channels; c++) {
            float *grad = a->grad + p * channels + c;
            *grad = scale[c] * (*grad - mean[c] - a->current[p * channels + c] * product[c]);
        }
}

/* errors: d loss / d logits, rows of ROW. */
static void backward(int count, const float *errors) {
    memset(gradients, 0, 4L * parameter_count);
    layer_t *last = layers + layer_count;
    int channels = last->shape.channels, size = neurons_of(last);
    for (layer_t *a = layers + 1; a <= last; a++) memset(a->grad, 0, 4L * count * timesteps * neurons_of(a));
    for (int b = 0; b < count; b++)
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int k = 0; k < CLASSES; k++) {
                float error = errors[b * ROW + k];
                gradients[dense + c * CLASSES + k] += error * pooled[b * channels + c];
                if (!c) gradients[dense_bias + k] += error;
                sum += error * parameters[dense + c * CLASSES + k];
            }
            sum *= (float)channels / (timesteps * size);
            for (int i = c; i < timesteps * size; i += channels) last->grad[(long)b * timesteps * size + i] = sum;
        }
    for (layer_t *a = last; a > layers; a--) {
        int rows = rows_of(a, count), own = neurons_of(a), in = a->shape.size * a->shape.size * a->shape.in;
        if (a->fires) fire_all_back(a, count);
        for (long i = 0; a->addend && i < (long)rows * own; i++) layers[a->addend].grad[i] += a->grad[i];
        if (a->normed) normalize_back(a, rows);
        int depth = depth_of(a->shape), outputs = a->shape.channels;
        for (int k = 0; k < depth * outputs; k++)
            a->transposed[k % outputs * depth + k / outputs] = parameters[a->kernel + k];
        for (int r = 0; r < rows; r++)
            convolve_back(a->shape, (a->once ? images : layers[a->source].value) + (long)r * in, a->transposed,
                          a->grad + (long)r * own, seen, gradients + a->kernel,
                          a->once ? NULL : layers[a->source].grad + (long)r * in);
    }
}
