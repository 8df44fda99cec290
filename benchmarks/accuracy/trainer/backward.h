/* The network backward, layer by layer from the last one, in the manner of `network.h`. */
#pragma once
#include "forward.h"

/* Through firing, with the penalty weight * cost * mean |level|, and through the normalization. The window passes
 * gradients straight; d (step * level) / d log step = step * (level - u within the window), as LSQ. */
static void fire_back(layer_t *a, int g, float weight) {
    const neuron_t own = neuron;
    int last = a + 1 == layers + LAYERS, pixels = a->out * a->out, grown = a->channels;
    double count = (double)BATCH * pixels, sums[LANES] = {0}, products[LANES] = {0};
    vec inverse = _mm512_load_ps(a->inverse + g), mean = _mm512_load_ps(a->mean + g), zero = _mm512_setzero_ps();
    vec gamma = _mm512_loadu_ps(parameters + a->gamma + g), beta = _mm512_loadu_ps(parameters + a->beta + g);
    vec per_step = all(1 / step_of(a)), penalty = all(weight * a->cost / (count * grown)), by_step = zero;
    for (int b = 0; b < BATCH; b++) {
        vec sum = zero, product = zero, mean_grad = zero;
        if (last) mean_grad = times(_mm512_loadu_ps(grad_pooled + b * grown + g), all(step_of(a) / pixels));
        for (int p = 0; p < pixels; p++) {
            long at = ((long)b * pixels + p) * grown + g;
            vec normal = times(_mm512_sub_ps(_mm512_load_ps(a->current + at), mean), inverse);
            vec u = times(_mm512_fmadd_ps(normal, gamma, beta), per_step);
            vec grad = last ? mean_grad : _mm512_load_ps(a->upstream + at), level = level_of(own, u);
            vec height = own.alphabet == 's' ? _mm512_abs_ps(u) : u;
            __mmask16 window = _mm512_cmp_ps_mask(height, all(own.low), _CMP_GT_OQ);
            if (own.alphabet != 'r') window &= _mm512_cmp_ps_mask(height, all(own.high), _CMP_LT_OQ);
            vec towards = own.alphabet == 's' ? sign_of(u) : all(1);
            by_step = _mm512_fmadd_ps(grad, _mm512_sub_ps(level, _mm512_maskz_mov_ps(window, u)), by_step);
            __mmask16 near = _mm512_cmp_ps_mask(height, all(own.reach), _CMP_LT_OQ);
            grad = _mm512_maskz_mov_ps(window, _mm512_mask3_fmadd_ps(penalty, towards, grad, near));
            grad = times(grad, per_step);
            sum = _mm512_add_ps(sum, grad), product = _mm512_fmadd_ps(grad, normal, product);
            _mm512_store_ps(a->upstream + at, grad);
        }
        for (int c = 0; c < LANES; c++) sums[c] += sum[c], products[c] += product[c];
    }
    if (own.alphabet != 'r') gradients[a->step] += _mm512_reduce_add_ps(by_step);
    vec mean_sum = zero, mean_product = zero;
    for (int c = 0; c < LANES; c++) {
        gradients[a->beta + g + c] = sums[c], gradients[a->gamma + g + c] = products[c];
        mean_sum[c] = sums[c] / count, mean_product[c] = products[c] / count;
    }
    vec scale = times(gamma, inverse);
    for (int b = 0; b < BATCH; b++)
        for (int y = 0; y < a->out; y++)
            for (int x = 0; x < a->out; x++) {
                long at = ((long)(b * a->out + y) * a->out + x) * grown + g;
                vec normal = times(_mm512_sub_ps(_mm512_load_ps(a->current + at), mean), inverse);
                vec centred = _mm512_sub_ps(_mm512_load_ps(a->upstream + at),
                                            _mm512_fmadd_ps(normal, mean_product, mean_sum));
                vec grad = times(scale, centred);
                long framed = ((long)(b * (a->out + 2) + y + 1) * (a->out + 2) + x + 1) * grown + g;
                if (a == layers)
                    _mm512_store_ps(a->upstream + at, grad);
                else
                    _mm256_store_si256((__m256i *)(a->grad + framed), (__m256i)_mm512_cvtneps_pbh(grad));
            }
    if (a == layers) return;
    for (int b = 0; b < BATCH; b++) {
        const bf16 *from = a->grad + (long)b * (a->out + 2) * (a->out + 2) * grown + g;
        bf16 *to = a->grad_pairs + (long)b * a->flat_size * grown + g * 2;
        for (int k = 0; k < a->flat_size; k += 2)
            _mm512_storeu_si512(to + (long)k * grown, pairs(from + a->pair[k], from + a->pair[k + 1]));
    }
}

static void image_kernel_back(layer_t *a) {
    const float *image = (float *)a->input;
    vec sums[TAPS];
    for (int t = 0; t < TAPS; t++) sums[t] = _mm512_setzero_ps();
    for (int b = 0; b < BATCH; b++)
        for (int y = 0; y < a->out; y++)
            for (int x = 0; x < a->out; x++) {
                const float *corner = image + (b * a->padded + y) * a->padded + x;
                vec grad = _mm512_load_ps(a->upstream + ((b * a->out + y) * a->out + x) * LANES);
                for (int t = 0; t < TAPS; t++)
                    sums[t] = _mm512_fmadd_ps(all(corner[t / 3 * a->padded + t % 3]), grad, sums[t]);
            }
    for (int t = 0; t < TAPS; t++) _mm512_storeu_ps(gradients + a->kernel + t * LANES, sums[t]);
}

/* Of stride 2, even and odd rows and columns of the input meet taps of their own. */
static void input_back(layer_t *a) {
    static const bf16 *from[BATCH * SIZE * 2];
    static float *to[BATCH * SIZE * 2];
    static bf16 right[TAPS * 4 * 4 * TILE] __attribute__((aligned(64)));
    int out = a->channels, in = a->in_channels, framed = a->out + 2, blocks = in / LANES, offset[TAPS * 4];
    for (int part = 0; part < a->stride * a->stride; part++) {
        int odd_y = part / 2, odd_x = part % 2, chunks = 0, count = 0;
        for (int t = 0; t < TAPS; t++) {
            int y = t / 3, x = t % 3, at = ((2 - y) * framed + 2 - x) * out;
            if (a->stride == 2) {
                if (y % 2 != odd_y || x % 2 != odd_x) continue;
                at = ((y != 2) * framed + (x != 2)) * out;
            }
            for (int q = 0; q < out / DEPTH; q++, chunks++) {
                offset[chunks] = at + q * DEPTH;
                memcpy(right + chunks * blocks * TILE, a->right_back + (t * (out / DEPTH) + q) * blocks * TILE,
                       sizeof(bf16) * blocks * TILE);
            }
        }
        for (int b = 0; b < BATCH; b++)
            for (int y = 0; y < a->out; y++)
                for (int x = 0; x < a->out; x += a->tile_rows, count++) {
                    long pixel = (long)(b * a->size + y * a->stride + odd_y) * a->size + x * a->stride + odd_x;
                    from[count] = a->grad + ((long)(b * framed + y) * framed + x) * out;
                    to[count] = a[-1].upstream + pixel * in;
                }
        configure(a->tile_rows);
        multiply(count, from, 2L * out, chunks, offset, right, blocks, to, 4L * a->stride * in);
    }
}

static long plane_of(const layer_t *a, int tile) {
    int blocks = a->in_channels / LANES, t = tile / blocks, y = t / 3, x = t % 3;
    long channel = tile % blocks * LANES;
    if (a->stride == 1) return channel * a->plane_size + y * a->padded + x;
    return ((y % 2 * 2 + x % 2) * a->in_channels + channel) * a->plane_size + y / 2 * a->flat + x / 2;
}

/* Sums over all pixels: two blocks of input channels times two of output channels. */
static void kernel_back(layer_t *a) {
    int out = a->channels, tiles = TAPS * a->in_channels / LANES;
    long step = 2L * a->plane_size, image = (long)a->stride * a->stride * a->in_channels * a->plane_size;
    configure(16);
    for (int n = 0; n < out; n += 2 * LANES)
        for (int k = 0; k < tiles; k += 2) {
            int two = k + 1 < tiles;
            long one = plane_of(a, k), other = plane_of(a, k + two);
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (int b = 0; b < BATCH; b++)
                for (int p = 0; p < a->flat_size; p += DEPTH) {
                    const bf16 *left = a->planes + b * image + p;
                    const bf16 *right = a->grad_pairs + ((long)b * a->flat_size + p) * out + n * 2;
                    _tile_loadd(4, left + one, step);
                    _tile_loadd(6, right, 4L * out);
                    _tile_dpbf16ps(0, 4, 6);
                    _tile_loadd(7, right + DEPTH, 4L * out);
                    _tile_dpbf16ps(1, 4, 7);
                    _tile_loadd(5, left + other, step);
                    _tile_dpbf16ps(2, 5, 6);
                    _tile_dpbf16ps(3, 5, 7);
                }
            float *to = gradients + a->kernel + (long)k * LANES * out + n;
            _tile_stored(0, to, 4L * out);
            _tile_stored(1, to + LANES, 4L * out);
            if (two) {
                _tile_stored(2, to + LANES * out, 4L * out);
                _tile_stored(3, to + LANES * out + LANES, 4L * out);
            }
        }
    float before = step_of(a - 1);
    for (int k = 0; k < TAPS * a->in_channels * out; k++) gradients[a->kernel + k] *= before;
}

/* errors: d loss / d logits, BATCH rows. weight: of the penalty. */
static void backward(const float *errors, float weight) {
    memset(gradients, 0, sizeof(float) * parameter_count);
    int channels = layers[LAYERS - 1].channels;
    for (int b = 0; b < BATCH; b++) {
        vec error = _mm512_loadu_ps(errors + b * ROW);
        vec bias = _mm512_loadu_ps(gradients + dense_bias);
        _mm512_storeu_ps(gradients + dense_bias, _mm512_add_ps(bias, error));
        for (int c = 0; c < channels; c++) {
            float *grad = gradients + dense + c * ROW;
            _mm512_storeu_ps(grad, _mm512_fmadd_ps(all(pooled[b * channels + c]), error, _mm512_loadu_ps(grad)));
            vec by_weight = times(error, _mm512_loadu_ps(parameters + dense + c * ROW));
            grad_pooled[b * channels + c] = _mm512_reduce_add_ps(by_weight);
        }
    }
    for (layer_t *a = layers + LAYERS - 1; a >= layers; a--) {
        for (int g = 0; g < a->channels; g += LANES) fire_back(a, g, weight);
        gradients[a->step] /= sqrtf((float)a->out * a->out * a->channels * neuron.levels);
        if (a == layers)
            image_kernel_back(a);
        else
            input_back(a), kernel_back(a);
    }
}
