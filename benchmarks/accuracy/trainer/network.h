/* Convolutions of 3x3 (padding "same"), batch normalization, and what fires; the mean over the image, a dense
 * layer. Values are levels: a layer's step is in the next kernel. Names as in the package; docs/silence.md says
 * what it is for. */
#pragma once
#include "learning.h"
#include "products.h"

typedef __m512 vec;
enum { LAYERS = 4, BATCH = 64, SIZE = 28, TAPS = 9 };
static const int CHANNELS[LAYERS] = {16, 32, 32, 64}, STRIDES[LAYERS] = {1, 2, 1, 2};
static const float EPSILON = 1e-3f, MOMENTUM = .02f;

/* r: ReLU; u: levels from 0 on; s: signed. dead: where the first level starts, in steps. low, high: between them
 * the gradient passes, in steps, that of the penalty up to `reach` only. */
typedef struct {
    char alphabet;
    int levels;
    float dead, low, high, reach;
} neuron_t;

static neuron_t neuron = {'r', 4, .5f, 0, 4, 1e9f};

typedef struct {
    int size, out, in_channels, channels, stride, offset, padded,
        tile_rows;                                                 /* padded: input's width with padding */
    int kernel, gamma, beta, step;                                 /* where they stand in `parameters` */
    bf16 *input, *planes, *grad, *grad_pairs, *right, *right_back; /* see `set_up_products` */
    float *current, *upstream, *mean, *inverse, *moving_mean, *moving_variance;
    int flat, flat_size, plane_size, chunks, tap_offset[TAPS * 4], *pair; /* flat: pixels of a row in `planes` */
    const bf16 **rows_in;
    float **rows_out;
    double cost, firing_rate, negative, mean_level;
} layer_t;

static layer_t layers[LAYERS];
static float *parameters, *gradients, *trained; /* trained: 1 or 0 */
static int dense, dense_bias, parameter_count;
static float pooled[BATCH * 64] __attribute__((aligned(64))), grad_pooled[BATCH * 64], logits[BATCH * ROW];

static void *zeros(size_t bytes) {
    void *memory;
    if (posix_memalign(&memory, 64, bytes + 65536)) exit(3); /* blocks of 16 may reach beyond */
    return memset(memory, 0, bytes + 65536);
}

static int padded32(int value) { return (value + 31) / 32 * 32; }

/* planes: channels apart, pixels beside one another, of stride 2 in four parts (even and odd rows and columns); a
 * tap is then an offset. grad has a frame of zeros, grad_pairs its pixels two by two in the order of the planes. */
static void set_up_products(layer_t *a) {
    int c = a->in_channels, parts = a->stride * a->stride;
    a->flat = a->padded / a->stride;
    a->flat_size = padded32(a->out * a->flat);
    a->plane_size = padded32(a->flat_size + 2 * a->flat + 50);
    a->input = zeros(2L * BATCH * a->padded * a->padded * c);
    a->planes = zeros(2L * BATCH * parts * c * a->plane_size);
    a->grad = zeros(2L * BATCH * (a->out + 2) * (a->out + 2) * a->channels);
    a->grad_pairs = zeros(2L * BATCH * a->flat_size * a->channels);
    a->pair = zeros(sizeof(int) * a->flat_size);
    for (int k = 0; k < a->flat_size; k++) {
        int y = k / a->flat, x = k % a->flat, inside = y < a->out && x < a->out;
        a->pair[k] = inside ? ((y + 1) * (a->out + 2) + x + 1) * a->channels : 0; /* a zero of the frame */
    }
    /* Of 16 channels two taps of a row make a tile, the fourth of zeros. */
    a->chunks = c == 16 ? 6 : TAPS * c / DEPTH;
    for (int i = 0; i < a->chunks; i++)
        a->tap_offset[i] = c == 16 ? (i / 2 * a->padded + i % 2 * 2) * 16
                                   : (i / (c / 32) / 3 * a->padded + i / (c / 32) % 3) * c + i % (c / 32) * 32;
    a->right = zeros(2L * a->chunks * (a->channels / 16) * TILE);
    a->right_back = zeros(2L * TAPS * (a->channels / 32) * (c / 16) * TILE);
    a->rows_in = zeros(sizeof(void *) * BATCH * a->out * 2),
    a->rows_out = zeros(sizeof(void *) * BATCH * a->out * 2);
    for (int b = 0, m = 0; b < BATCH; b++)
        for (int y = 0; y < a->out; y++)
            for (int x = 0; x < a->out; x += a->tile_rows, m++) {
                a->rows_in[m] = a->input + ((long)(b * a->padded + y * a->stride) * a->padded + x * a->stride) * c;
                a->rows_out[m] = a->current + ((long)(b * a->out + y) * a->out + x) * a->channels;
            }
}

static void set_up(float (*normal)(void), float first_step) {
    int size = SIZE, channels = 1, at = 0;
    for (layer_t *a = layers; a < layers + LAYERS; a++) {
        int i = a - layers;
        *a = (layer_t){.size = size, .in_channels = channels, .channels = CHANNELS[i], .stride = STRIDES[i]};
        a->out = size / a->stride, a->offset = a->stride == 1, a->padded = size + 2;
        a->tile_rows = a->out > 16 ? a->out / 2 : a->out;
        long values = (long)BATCH * a->out * a->out * a->channels;
        a->current = zeros(4 * values), a->upstream = zeros(4 * values);
        float **statistics[] = {&a->mean, &a->inverse, &a->moving_mean, &a->moving_variance};
        for (int s = 0; s < 4; s++) *statistics[s] = zeros(4 * a->channels);
        a->kernel = at, a->gamma = a->kernel + TAPS * channels * a->channels, a->beta = a->gamma + a->channels;
        a->step = a->beta + a->channels, at = a->step + 16;
        if (i)
            set_up_products(a);
        else
            a->input = zeros(4L * BATCH * a->padded * a->padded); /* floats */
        size = a->out, channels = a->channels;
    }
    dense = at, dense_bias = dense + channels * ROW, parameter_count = dense_bias + ROW;
    float **arrays[] = {&parameters, &gradients, &trained};
    for (int k = 0; k < 3; k++) *arrays[k] = zeros(4 * parameter_count);
    double all = 0;
    for (layer_t *a = layers; a < layers + LAYERS; a++) {
        layer_t *next = a + 1;
        a->cost = next < layers + LAYERS ? 9. * next->out * next->out * a->channels * next->channels
                                         : 1. * CLASSES * a->channels;
        all += a->cost;
        for (int k = 0; k < TAPS * a->in_channels * a->channels; k++)
            parameters[a->kernel + k] = normal() * sqrtf(2.f / (9 * a->in_channels)), trained[a->kernel + k] = 1;
        for (int o = 0; o < a->channels; o++) {
            parameters[a->gamma + o] = a->moving_variance[o] = 1;
            trained[a->gamma + o] = trained[a->beta + o] = 1;
        }
        parameters[a->step] = logf(first_step), trained[a->step] = 1;
    }
    for (layer_t *a = layers; a < layers + LAYERS; a++) a->cost /= all;
    for (int k = 0; k < channels * ROW; k++)
        if (k % ROW < CLASSES) parameters[dense + k] = normal() * sqrtf(1.f / channels), trained[dense + k] = 1;
    for (int k = 0; k < CLASSES; k++) trained[dense_bias + k] = 1;
}

static float step_of(const layer_t *a) { return neuron.alphabet == 'r' ? 1.f : expf(parameters[a->step]); }

/* Kernels times the steps in front of them, as right factors: forward over input channels, backward over outputs.
 */
static void pack(void) {
    for (layer_t *a = layers + 1; a < layers + LAYERS; a++) {
        int in = a->in_channels, out = a->channels;
        float step = step_of(a - 1);
        const float *kernel = parameters + a->kernel;
        for (int c = 0; c < a->chunks; c++)
            for (int n = 0; n < out; n++)
                for (int k = 0; k < DEPTH; k++) {
                    int column = c % 2 * 2 + k / 16, blocks = in / 32;
                    int tap = in == 16 ? (column < 3 ? c / 2 * 3 + column : -1) : c / blocks;
                    int channel = in == 16 ? k % 16 : c % blocks * 32 + k;
                    bf16 value = tap < 0 ? 0 : to_bf16(kernel[(tap * in + channel) * out + n] * step);
                    a->right[((long)c * (out / 16) + n / 16) * TILE + in_tile(k, n % 16)] = value;
                }
        for (int t = 0; t < TAPS * (out / 32); t++)
            for (int n = 0; n < in; n++)
                for (int k = 0; k < DEPTH; k++) {
                    int tap = t / (out / 32), o = t % (out / 32) * 32 + k;
                    bf16 value = to_bf16(kernel[(tap * in + n) * out + o] * step);
                    a->right_back[((long)t * (in / 16) + n / 16) * TILE + in_tile(k, n % 16)] = value;
                }
    }
}
