/* Products of matrices, and convolutions as such: the pixels that a kernel sees beside one another, a row a place. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float v16 __attribute__((vector_size(64), aligned(4), may_alias));
#ifdef TILES
typedef v16 channels_t; /* some channels beside one another */
#else
typedef v8 channels_t;
#endif
enum { ROWS = 8, AT_ONCE = sizeof(channels_t) / sizeof(float) };

static void *zeros(size_t floats) {
    void *memory;
    if (posix_memalign(&memory, 64, 4 * floats + 256)) exit(3);
    return memset(memory, 0, 4 * floats + 256);
}

/* out[m][n] += sum over k of a[m * row + k * column] * b[k][n], for `rows` m and as many n as a vector has. */
#define BLOCK(name, vec)                                                                                         \
    INLINE void name(int rows, int depth, const float *a, long row, long column, const float *b, long b_row,      \
                     float *out, long out_row) {                                                                  \
        vec sums[ROWS];                                                                                           \
        for (int m = 0; m < rows; m++) sums[m] = *(const vec *)(out + m * out_row);                               \
        for (int k = 0; k < depth; k++) {                                                                         \
            vec right = *(const vec *)(b + k * b_row);                                                            \
            for (int m = 0; m < rows; m++) sums[m] += a[m * row + k * column] * right;                            \
        }                                                                                                         \
        for (int m = 0; m < rows; m++) *(vec *)(out + m * out_row) = sums[m];                                     \
    }
BLOCK(block8, v8)
BLOCK(block16, v16)

/* out (height, width) += a (height, depth) * b (depth, width). width: a multiple of 8. */
static void add_product(int height, int width, int depth, const float *a, long row, long column, const float *b,
                        float *out) {
    for (int n = 0; n < width;) {
        int lanes = width - n >= 16 ? 16 : 8;
        for (int m = 0; m < height;) {
            const float *left = a + m * row;
            float *to = out + (long)m * width + n;
            int rows = height - m >= ROWS ? ROWS : 1;
            if (lanes == 16 && rows == ROWS) block16(ROWS, depth, left, row, column, b + n, width, to, width);
            if (lanes == 16 && rows == 1) block16(1, depth, left, row, column, b + n, width, to, width);
            if (lanes == 8 && rows == ROWS) block8(ROWS, depth, left, row, column, b + n, width, to, width);
            if (lanes == 8 && rows == 1) block8(1, depth, left, row, column, b + n, width, to, width);
            m += rows;
        }
        n += lanes;
    }
}

/* Of a convolution with padding "same": size, out: pixels a side; before: padding above and left of the image. */
typedef struct {
    int size, out, in, channels, kernel, stride, before;
} shape_t;

static shape_t shape_of(int size, int in, int channels, int kernel, int stride) {
    int out = (size + stride - 1) / stride, padding = (out - 1) * stride + kernel - size;
    return (shape_t){size, out, in, channels, kernel, stride, padding > 0 ? padding / 2 : 0};
}

static int depth_of(shape_t s) { return s.kernel * s.kernel * s.in; }

/* to = from, or to += from: `count` floats, by sixteens or eights where it can be. */
INLINE void move(float *to, const float *from, int count, int add) {
    if (count % 16 == 0)
        for (int i = 0; i < count; i += 16) {
            v16 value = *(const v16 *)(from + i);
            if (add) value += *(v16 *)(to + i);
            *(v16 *)(to + i) = value;
        }
    else if (count % 8 == 0)
        for (int i = 0; i < count; i += 8) {
            v8 value = *(const v8 *)(from + i);
            if (add) value += *(v8 *)(to + i);
            *(v8 *)(to + i) = value;
        }
    else
        for (int i = 0; i < count; i++) to[i] = add ? to[i] + from[i] : from[i];
}

/* seen[pixel][tap][channel] = image, or back: image += seen. Padding is 0, and ends there on the way back. gap: zeros
 * behind each pixel. */
INLINE void each_seen(shape_t s, float *image, float *seen, int gap, int back) {
    int width = s.kernel * s.in; /* of a row of taps */
    for (int y = 0; y < s.out; y++)
        for (int x = 0; x < s.out; x++) {
            for (int tap = 0; tap < s.kernel; tap++, seen += width) {
                int row = y * s.stride + tap - s.before, left = x * s.stride - s.before;
                int first = left < 0 ? -left : 0, last = left + s.kernel > s.size ? s.size - left : s.kernel;
                float *pixels = image + ((long)row * s.size + left) * s.in;
                int inside = row >= 0 && row < s.size;
                if (inside && first == 0 && last == s.kernel) {
                    back ? move(pixels, seen, width, 1) : move(seen, pixels, width, 0);
                    continue;
                }
                if (!back) memset(seen, 0, 4L * width);
                if (!inside) continue;
                int start = first * s.in, count = (last - first) * s.in;
                back ? move(pixels + start, seen + start, count, 1) : move(seen + start, pixels + start, count, 0);
            }
            for (int i = 0; i < gap; i++) *seen++ = 0;
        }
}

static void convolve(shape_t s, const float *image, const float *kernel, float *seen, float *out) {
    each_seen(s, (float *)image, seen, 0, 0);
    memset(out, 0, 4L * s.out * s.out * s.channels);
    add_product(s.out * s.out, s.channels, depth_of(s), seen, depth_of(s), 1, kernel, out);
}

/* grad: of the output. Adds to those of the kernel and, unless it is NULL, of the image. transposed: (channels, depth). */
static void convolve_back(shape_t s, const float *image, const float *transposed, const float *grad, float *seen,
                          float *grad_kernel, float *grad_image) {
    int pixels = s.out * s.out, depth = depth_of(s);
    each_seen(s, (float *)image, seen, 0, 0);
    add_product(depth, s.channels, pixels, seen, 1, depth, grad, grad_kernel);
    if (!grad_image) return;
    memset(seen, 0, 4L * pixels * depth);
    add_product(pixels, depth, s.channels, grad, s.channels, 1, transposed, seen);
    each_seen(s, grad_image, seen, 0, 1);
}

/* Means over stride x stride pixels, or back: grad of the image += that of its mean. Of stride 1 the image itself. */
INLINE void each_mean(shape_t s, float *image, float *mean, int back) {
    float share = 1.f / (s.stride * s.stride);
    for (int y = 0; y < s.size; y++)
        for (int x = 0; x < s.size; x++, image += s.channels) {
            float *here = mean + (y / s.stride * s.out + x / s.stride) * s.channels;
            for (int c = 0; c < s.channels; c += 8) {
                v8 *one = (v8 *)(image + c), *all = (v8 *)(here + c);
                if (back)
                    *one += share * *all;
                else
                    *all += share * *one;
            }
        }
}
static void pool(shape_t s, const float *image, float *mean) {
    memset(mean, 0, 4L * s.out * s.out * s.channels);
    each_mean(s, (float *)image, mean, 0);
}
static void pool_back(shape_t s, const float *grad, float *grad_image) {
    if (s.stride == 1)
        move(grad_image, grad, s.size * s.size * s.channels, 1);
    else
        each_mean(s, grad_image, (float *)grad, 1);
}
