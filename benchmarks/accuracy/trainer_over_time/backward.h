/* The network backward, layer by layer from the last one. */
#pragma once
#include "forward.h"

/* From the gradient of the values to that of the currents, which of an image are as many as images. penalty: d loss /
 * d |level|. */
static void fire_image_back(layer_t *a, neuron_t own, int b, float penalty) {
    int size = neurons_of(a);
    if (timesteps == 1)
        sum_row(a, b, membrane);
    else
        fire_image(a, own, b, fired);
    memset(state, 0, 4L * size);
    for (int t = timesteps - 1; t >= 0; t--) {
        long at = (long)(b * timesteps + t) * size;
        fire_back(own, size, penalty, a->spread, membrane + (long)t * size, a->grad + at, state, a->by_amplitude,
                  a->by_factor);
    }
    for (int t = 0; a->once && timesteps > 1 && t < timesteps; t++)
        for (int i = 0; i < size; i++) {
            float grad = a->grad[(long)(b * timesteps + t) * size + i];
            a->grad[(long)b * size + i] = t ? a->grad[(long)b * size + i] + grad : grad;
        }
}

/* Of the amplitudes, or of a factor of them and the thresholds: divided by sqrt(neurons * levels), as a trained step
 * of MultiLevelLIF. */
static void sum_by_neuron(layer_t *a) {
    int size = neurons_of(a), channels = a->shape.channels;
    double sums[MOST_CHANNELS] = {0}, sum = 0, factor = 0;
    for (int i = 0; i < size; i++) sums[i % channels] += a->by_amplitude[i], factor += a->by_factor[i];
    for (int c = 0; c < channels; c++) sum += sums[c];
    for (int c = 0; c < channels; c++)
        gradients[a->amplitude + c] = trained_amplitude == 'c' ? sums[c] : trained_amplitude == 'l' ? sum : 0;
    factor += sum * parameters[a->amplitude];
    gradients[a->factor] = trained_amplitude == 'f' ? factor / sqrt((double)size * neuron.levels) : 0;
}

/* sums, products += of a row of gradients, and of them times centred currents. */
static void add_up_back(const layer_t *a, long row, double *sums, double *products) {
    int channels = a->shape.channels, size = neurons_of(a);
    const float *grad = a->grad + row * size, *current = a->current + row * size;
    for (int g = 0; g < channels; g += AT_ONCE) {
        channels_t sum = {0}, product = {0}, mean = *(channels_t *)(a->mean + g);
        for (int at = g; at < size; at += channels) {
            channels_t here = *(channels_t *)(grad + at);
            sum += here, product += here * (*(channels_t *)(current + at) - mean);
        }
        for (int c = 0; c < AT_ONCE; c++) sums[g + c] += sum[c], products[g + c] += product[c];
    }
}

/* Of a row of `rows`: from the gradient of the normalized currents to theirs. */
static void normalize_back(const layer_t *a, int rows, long row) {
    int channels = a->shape.channels, size = neurons_of(a);
    float *grad = a->grad + row * size, share = (float)channels / ((float)rows * size);
    const float *current = a->current + row * size;
    for (int g = 0; g < channels; g += AT_ONCE) {
        channels_t inverse = *(channels_t *)(a->inverse + g), centre = *(channels_t *)(a->mean + g);
        channels_t mean = share * *(channels_t *)(gradients + a->beta + g);
        channels_t product = share * inverse * *(channels_t *)(gradients + a->gamma + g);
        channels_t scale = *(channels_t *)(parameters + a->gamma + g) * inverse;
        for (int at = g; at < size; at += channels) {
            channels_t *here = (channels_t *)(grad + at);
            *here = scale * (*here - mean - (*(channels_t *)(current + at) - centre) * product);
        }
    }
}

/* What has saturated gives no gradient. */
static void saturate_back(const layer_t *a, long row, float most) {
    const float *value = a->value + row * neurons_of(a);
    float *grad = a->grad + row * neurons_of(a);
    for (int i = 0; i < neurons_of(a); i++) grad[i] = fabsf(value[i]) < most ? grad[i] : 0;
}

/* To the addend of a row, which begins with it if nothing else has. */
static void add_back(const layer_t *a, long row) {
    const layer_t *to = &layers[a->addend];
    move(to->grad + row * neurons_of(a), a->grad + row * neurons_of(a), neurons_of(a), to->written);
}

/* `count` rows from `r` on: adds to the gradients of the layer in front, and of the kernel. */
static void convolve_rows_back(layer_t *a, long r, int count) {
    int size = neurons_of(a), in = inputs_of(a);
    const float *from = input_of(a) + r * in, *grad = a->grad + r * size;
    float *to = a->source ? layers[a->source].grad + r * in : NULL;
    if (to && !layers[a->source].written) memset(to, 0, 4L * in * count);
#ifdef TILES
    if (on_tiles(a->shape)) {
        convolve_back_on_tiles(a->shape, a->packed, count, from, grad, to);
        return;
    }
#endif
    for (int i = 0; i < count; i++, grad += size, from += in, to += to ? in : 0)
        if (a->shape.kernel)
            convolve_back(a->shape, from, a->transposed, grad, seen, gradients + a->kernel, to);
        else
            pool_back(a->shape, grad, to);
}

/* One image after the other, which stays in the cache: to the gradient of the normalized currents. */
static void fire_all_back(layer_t *a, int count, float weight) {
    int size = neurons_of(a), per_image = rows_of(a, count) / count;
    const neuron_t own = neuron_of(a);
    double sums[MOST_CHANNELS] = {0}, products[MOST_CHANNELS] = {0};
    float penalty = weight * a->cost / ((double)count * timesteps * size);
    for (int i = 0; i < size && a->fires; i++) a->by_amplitude[i] = a->by_factor[i] = 0;
    for (int b = 0; b < count; b++) {
        if (a->fires) fire_image_back(a, own, b, penalty);
        for (int r = b * per_image; r < (b + 1) * per_image; r++) {
            if (headroom && a->reader) saturate_back(a, r, largest_of(a));
            if (a->addend) add_back(a, r);
            if (a->normed) add_up_back(a, r, sums, products);
        }
    }
    if (a->addend) layers[a->addend].written = 1;
    if (a->fires) sum_by_neuron(a);
    for (int c = 0; c < a->shape.channels && a->normed; c++)
        gradients[a->beta + c] = sums[c], gradients[a->gamma + c] = products[c] * a->inverse[c];
}

/* From there on, some rows after the other. */
static void convolve_all_back(layer_t *a, int rows) {
    int group = rows_at_once(a), depth = depth_of(a->shape), outputs = a->shape.channels;
    for (int k = 0; k < depth * outputs; k++)
        a->transposed[k % outputs * depth + k / outputs] = parameters[a->kernel + k];
    for (int r = 0; r < rows; r += group) {
        int count = rows - r < group ? rows - r : group;
        for (int row = r; a->normed && row < r + count; row++) normalize_back(a, rows, row);
        convolve_rows_back(a, r, count);
    }
    layers[a->source].written = 1;
#ifdef TILES
    if (on_tiles(a->shape)) take_sums(a->packed, a->shape, gradients + a->kernel);
#endif
}

static void classify_back(int count, const float *errors) {
    layer_t *last = layers + layer_count;
    int channels = last->shape.channels, size = neurons_of(last);
    for (int b = 0; b < count; b++) {
        float grad[MOST_CHANNELS] = {0};
        for (int c = 0; c < channels; c++) {
            for (int k = 0; k < CLASSES; k++) {
                gradients[dense + c * CLASSES + k] += errors[b * ROW + k] * pooled[b * channels + c];
                grad[c] += errors[b * ROW + k] * parameters[dense + c * CLASSES + k];
            }
            grad[c] *= (float)channels / (timesteps * size);
        }
        for (int k = 0; k < CLASSES; k++) gradients[dense_bias + k] += errors[b * ROW + k];
        float *to = last->grad + (long)b * timesteps * size;
        for (long at = 0; at < (long)timesteps * size; at += channels) memcpy(to + at, grad, 4L * channels);
    }
}

/* errors: d loss / d logits, rows of ROW. weight: of the penalty. */
static void backward(int count, const float *errors, float weight) {
    memset(gradients, 0, 4L * parameter_count);
    for (layer_t *a = layers; a <= layers + layer_count; a++) a->written = 0;
    classify_back(count, errors);
    for (layer_t *a = layers + layer_count; a > layers; a--) {
        fire_all_back(a, count, weight);
        convolve_all_back(a, rows_of(a, count));
    }
}
