/* Convolutions as products of bfloat16 matrices on AMX tiles, some images at a time: their places are rows of a left
 * factor, whose number is a multiple of 32. For channels, in and out, that are multiples of 16. */
#pragma once
#include "../trainer/products.h"
#include "products.h"

enum { PLACES = 1024, DEEPEST = 9 * 128, WIDEST = 128, BLOCKS = PLACES / LANES };

/* The kernel as right factors: forward over the depth, backward over the output channels. */
typedef struct {
    bf16 *right, *right_back;
    float *sums; /* of the kernel's gradient: [channel][depth] */
} packed_t;

static bf16 half[PLACES * 4 * 64], seen16[PLACES * DEEPEST] __attribute__((aligned(64)));
static bf16 seen_pairs[PLACES * DEEPEST] __attribute__((aligned(64))), grad16[PLACES * WIDEST];
static bf16 planes[PLACES * WIDEST] __attribute__((aligned(64)));
static float seen_grad[PLACES * DEEPEST] __attribute__((aligned(64)));

static int padded32(int value) { return (value + 31) / 32 * 32; }
static int on_tiles(shape_t s) { return s.kernel && s.in % 16 == 0 && s.channels % 16 == 0; }

/* So many images that their places are a multiple of 16, some hundreds where they are fewer. */
static int images_at_once(shape_t s) {
    int images = 1, places = s.out * s.out;
    while (images * places % 16 || 2 * images * places <= 800) images *= 2;
    if (images * places > PLACES || images * s.size * s.size * s.in > PLACES * 256 || depth_of(s) > DEEPEST) exit(4);
    return images;
}

static packed_t packed_of(shape_t s) {
    long depth = padded32(depth_of(s)), channels = padded32(s.channels);
    return (packed_t){zeros(depth * channels / 2), zeros(depth * channels / 2), zeros(depth * channels)};
}

static void pack(packed_t p, shape_t s, const float *kernel) {
    int depth = depth_of(s), across = depth / LANES, blocks = s.channels / LANES;
    for (int k = 0; k < depth; k++)
        for (int o = 0; o < s.channels; o++) {
            bf16 value = to_bf16(kernel[(long)k * s.channels + o]);
            p.right[((long)(k / DEPTH) * blocks + o / LANES) * TILE + in_tile(k % DEPTH, o % LANES)] = value;
            p.right_back[((long)(o / DEPTH) * across + k / LANES) * TILE + in_tile(o % DEPTH, k % LANES)] = value;
        }
    memset(p.sums, 0, 4L * depth * s.channels);
}

static void halve(const float *from, bf16 *to, long count) {
    for (long i = 0; i < count; i += LANES)
        _mm256_storeu_si256((__m256i *)(to + i), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i)));
}

static void see(shape_t s, const float *images, int count) {
    long pixels = (long)s.size * s.size * s.in, depth = padded32(depth_of(s)), gap = depth - depth_of(s);
    shape_t pairwise = s;
    pairwise.in /= 2; /* two of them are moved as a float */
    halve(images, half, count * pixels);
    for (int b = 0; b < count; b++)
        each_seen(pairwise, (float *)(half + b * pixels), (float *)(seen16 + b * s.out * s.out * depth), gap / 2, 0);
}

/* out (places, 16 * blocks) = left (places, depth) * right. */
static void multiply_rows(int places, const bf16 *left, int depth, const bf16 *right, int blocks, float *out) {
    const bf16 *from[BLOCKS];
    float *to[BLOCKS];
    int offset[DEEPEST / DEPTH];
    for (int c = 0; c < depth / DEPTH; c++) offset[c] = c * DEPTH;
    for (int m = 0; m < places / LANES; m++)
        from[m] = left + (long)m * LANES * depth, to[m] = out + (long)m * LANES * LANES * blocks;
    multiply(places / LANES, from, 2L * depth, depth / DEPTH, offset, right, blocks, to, 4L * LANES * blocks);
}

/* `images_at_once` of them. */
static void convolve_on_tiles(shape_t s, packed_t p, const float *images, float *out) {
    int count = images_at_once(s);
    see(s, images, count);
    multiply_rows(count * s.out * s.out, seen16, padded32(depth_of(s)), p.right, s.channels / LANES, out);
}

/* to[channel][place] and rows of `channels`, those that there are not 0. */
static void lay_out_gradient(int channels, int places, int all, const float *grad) {
    int row = padded32(channels);
    memset(grad16, 0, 2L * padded32(all) * row);
    for (int p = 0; p < places; p++) halve(grad + (long)p * channels, grad16 + (long)p * row, channels);
    for (int p = 0; p < padded32(all); p += LANES)
        for (int c = 0; c < channels; c += LANES)
            transpose(grad16 + (long)p * row + c, row, planes + (long)c * PLACES + p, PLACES);
}

static void pair_up(int places, int depth) {
    for (int p = 0; p < places; p += 2)
        for (int k = 0; k < depth; k += LANES) {
            const bf16 *from = seen16 + (long)p * depth + k;
            _mm512_storeu_si512(seen_pairs + (long)p * depth + 2 * k, pairs(from, from + depth));
        }
}

/* sums[channel][k] += planes * seen_pairs: sums over all places. */
static void add_kernel_gradient(int channels, int places, int depth, int columns, float *sums) {
    for (int c = 0; c < channels; c += 2 * LANES)
        for (int k = 0; k < columns; k += 2 * LANES) {
            int tall = c + LANES < channels, wide = k + LANES < columns;
            float *to = sums + (long)c * columns + k, *below = to + (long)(tall ? LANES : 0) * columns;
            int beside = wide ? LANES : 0;
            _tile_loadd(0, to, 4L * columns);
            _tile_loadd(1, to + beside, 4L * columns);
            _tile_loadd(2, below, 4L * columns);
            _tile_loadd(3, below + beside, 4L * columns);
            for (int p = 0; p < places; p += DEPTH) {
                const bf16 *left = planes + (long)c * PLACES + p, *right = seen_pairs + (long)p * depth + 2 * k;
                _tile_loadd(4, left, 2L * PLACES);
                _tile_loadd(5, left + (tall ? LANES * PLACES : 0), 2L * PLACES);
                _tile_loadd(6, right, 4L * depth);
                _tile_loadd(7, right + 2 * beside, 4L * depth);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            if (tall && wide) _tile_stored(3, below + beside, 4L * columns);
            if (tall) _tile_stored(2, below, 4L * columns);
            if (wide) _tile_stored(1, to + beside, 4L * columns);
            _tile_stored(0, to, 4L * columns);
        }
}

/* Of `count` images, at most `images_at_once`. grad: of the output. Adds to the kernel's sums and to those of the
 * images. */
static void convolve_back_on_tiles(shape_t s, packed_t p, int count, const float *images, const float *grad,
                                   float *grad_images) {
    int places = s.out * s.out, all = images_at_once(s) * places, columns = depth_of(s), depth = padded32(columns);
    long pixels = (long)s.size * s.size * s.in;
    see(s, images, count);
    lay_out_gradient(s.channels, count * places, all, grad);
    pair_up(padded32(all), depth);
    add_kernel_gradient(s.channels, padded32(all), depth, columns, p.sums);
    multiply_rows(all, grad16, padded32(s.channels), p.right_back, columns / LANES, seen_grad);
    for (int b = 0; b < count; b++)
        each_seen(s, grad_images + b * pixels, seen_grad + (long)b * places * columns, 0, 1);
}

static void take_sums(packed_t p, shape_t s, float *grad_kernel) {
    int depth = depth_of(s);
    for (int k = 0; k < depth; k++)
        for (int o = 0; o < s.channels; o++) grad_kernel[(long)k * s.channels + o] = p.sums[(long)o * depth + k];
}
