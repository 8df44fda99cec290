/* A network over timesteps: layers of a convolution, a batch normalization, an addend and neurons, each optional; the
 * mean over places and timesteps, a dense layer. A layer without a convolution takes means over stride x stride
 * pixels; of stride 1 it puts neurons on a stream.
 * Arrays are [image][timestep][pixel][channel]; what sees the image alone has no timesteps. */
#pragma once
#include "../trainer/learning.h"
#include "neuron.h"
#ifdef TILES
#include "tiles.h"
#endif

enum { MOST_LAYERS = 20, BATCH = 64, LEVELS = 256, MOST_CHANNELS = 1024 };
static const float EPSILON = 1e-3f;

/* source, addend: numbers of layers, 0 the image or none. fires, normed: 0 or 1. once: sees the image. reader: the
 * neurons on the stream that it is, or is added to; 0 none. cost: of its spikes, their part of all additions that
 * spikes can ask for. */
typedef struct {
    int source, addend, fires, normed, once, reader;
    shape_t shape;
    int kernel, gamma, beta, amplitude, factor; /* where they stand in `parameters`; factor: a logarithm */
    float *current, *value, *grad, *transposed; /* current: of the convolution; value: amplitude * level, or the sum */
    float *mean, *inverse, *moving_mean, *moving_variance, *spread, *by_amplitude, *by_factor;
    double cost, rate, counts[LEVELS]; /* counts: of level - LEVELS / 2 */
    int written;                       /* whether `grad` has begun */
#ifdef TILES
    packed_t packed;
#endif
} layer_t;

static layer_t layers[MOST_LAYERS + 1]; /* from 1 on */
static int layer_count, timesteps = 1, dense, dense_bias, parameter_count, image_size, most_neurons;
static neuron_t neuron = {'s', 'r', 1, .5f, .25f, 1, 1};
/* n(one), l(ayer), c(hannel), or f(actor): one of all thresholds and amplitudes, which begin as `amplitude`. */
static char trained_amplitude = 'n';
static float amplitude = 1, momentum = .9f; /* momentum: of the moving statistics */
/* Where sums on a stream saturate, as int8 does, in units of 2 * threshold of the neurons on it; 0 nowhere. */
static float headroom;
static float *parameters, *gradients, *images, *seen, *state;
static float *membrane, *fired; /* of an image at all timesteps */
static float pooled[BATCH * MOST_CHANNELS], logits[BATCH * ROW];

static int neurons_of(const layer_t *a) { return a->shape.out * a->shape.out * a->shape.channels; }
static int inputs_of(const layer_t *a) { return a->shape.size * a->shape.size * a->shape.in; }
static int rows_of(const layer_t *a, int count) { return a->once ? count : count * timesteps; }
static float *input_of(const layer_t *a) { return a->source ? layers[a->source].value : images; }

/* So many rows are convolved one after the other while they are in the cache. */
static int rows_at_once(const layer_t *a) {
#ifdef TILES
    if (on_tiles(a->shape)) return images_at_once(a->shape);
#endif
    (void)a;
    return 1;
}

/* Whether its values have no timesteps. */
static int of_image(const layer_t *a) { return a->once && !a->fires; }

/* A layer behind those there are. */
static void add_layer(int source, int kernel, int stride, int channels, int normed, int addend, int fires) {
    layer_t *a = &layers[++layer_count], *from = &layers[source];
    expect(layer_count <= MOST_LAYERS, "too many layers");
    *a = (layer_t){.source = source, .addend = addend, .fires = fires, .normed = normed};
    a->once = !source || of_image(from);
    int size = source ? from->shape.out : image_size, in = source ? from->shape.channels : 1;
    a->shape = shape_of(size, in, channels, kernel, stride);
    expect(kernel || (!normed && in == channels && size % stride == 0 && source), "means are of whole squares, channel by channel");
    expect(!addend || timesteps == 1 || (!a->once && !of_image(&layers[addend])), "no sums of timesteps and none");
    a->kernel = parameter_count, a->gamma = a->kernel + depth_of(a->shape) * channels;
    a->beta = a->gamma + channels * normed, a->amplitude = a->beta + channels * normed;
    a->factor = a->amplitude + channels * fires, parameter_count = a->factor + fires;
    long all = (long)BATCH * timesteps * neurons_of(a);
    int on_stream = !kernel && stride == 1;
    a->value = zeros(all), a->grad = zeros(all);
    a->current = on_stream ? from->value : normed || fires ? zeros(all) : a->value;
    if (on_stream && fires) from->reader = layers[from->addend].reader = layer_count;
    most_neurons = most_neurons > neurons_of(a) ? most_neurons : neurons_of(a);
    float **statistics[] = {&a->mean, &a->inverse, &a->moving_mean, &a->moving_variance};
    for (int i = 0; i < 4; i++) *statistics[i] = zeros(channels);
    float **of_neurons[] = {&a->spread, &a->by_amplitude, &a->by_factor};
    for (int i = 0; i < 3; i++) *of_neurons[i] = zeros(fires * neurons_of(a));
    a->transposed = zeros(depth_of(a->shape) * channels);
#ifdef TILES
    if (on_tiles(a->shape)) a->packed = packed_of(a->shape);
#endif
}

static void finish(void) {
    layer_t *last = layers + layer_count;
    int channels = last->shape.channels, widest = 0;
    dense = parameter_count, dense_bias = dense + channels * CLASSES, parameter_count = dense_bias + CLASSES;
    parameters = zeros(parameter_count), gradients = zeros(parameter_count);
    double all = CLASSES * channels;
    last->cost = all; /* that of others: of the layers that read their spikes as they are */
    for (layer_t *a = layers + 1; a <= last; a++) {
        double products = (double)depth_of(a->shape) * neurons_of(a);
        int size = a->shape.out * a->shape.out * (depth_of(a->shape) + a->shape.channels);
        widest = size > widest ? size : widest;
        if (a->source && a->shape.kernel && layers[a->source].fires) layers[a->source].cost += products, all += products;
    }
    for (layer_t *a = layers + 1; a <= last; a++) a->cost /= all;
    seen = zeros(widest), state = zeros(most_neurons), membrane = zeros((long)timesteps * most_neurons);
    fired = zeros((long)timesteps * most_neurons);
    images = zeros((long)BATCH * image_size * image_size);
}

static float factor_of(const layer_t *a) { return trained_amplitude == 'f' ? expf(parameters[a->factor]) : 1; }

static neuron_t neuron_of(const layer_t *a) {
    neuron_t own = neuron;
    own.threshold *= factor_of(a);
    return own;
}

/* The largest value of a stream. */
static float largest_of(const layer_t *a) { return headroom * 2 * neuron_of(&layers[a->reader]).threshold; }

/* Mean share of the additions that all spikes could ask for. */
static double share_of_additions(void) {
    double sum = 0;
    for (layer_t *a = layers + 1; a <= layers + layer_count; a++) sum += a->cost * a->rate;
    return sum;
}
