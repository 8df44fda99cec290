/* What both trainers share: files, options, random numbers, the loss, the penalty of a budget, Adam. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 10, ROW = 16 }; /* ROW: of classes, padded */

/* Loss: (1 - soft) * cross entropy + soft * temperature^2 * cross entropy with the teacher's softmax(logits /
 * temperature). budget: 0 without; warm_up and annealed as in keras_ternary_spike/training/spike_budget.py. */
static float rate = 16e-3f, soft, temperature = 2, budget, warm_up = .02f, annealed = .3f;

static void expect(int condition, const char *what) {
    if (!condition) fprintf(stderr, "%s\n", what), exit(2);
}

static void *whole_file(const char *name, size_t bytes) {
    FILE *file = fopen(name, "rb");
    void *content = malloc(bytes + 1);
    if (!file || fread(content, 1, bytes, file) != bytes) {
        fprintf(stderr, "%s must hold %zu bytes\n", name, bytes);
        exit(2);
    }
    fclose(file);
    return content;
}

static void write_file(const char *name, const void *content, size_t bytes) {
    FILE *file = fopen(name, "wb");
    expect(file && fwrite(content, 1, bytes, file) == bytes && !fclose(file), name);
}

static uint64_t random_state = 88172645463325252ull;
static uint64_t next_random(void) { /* xorshift64* */
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state * 2685821657736338717ull;
}
static void seed_random(int seed) {
    random_state += seed * 7919ull;
    for (int i = 0; i < 50; i++) next_random();
}

static void shuffle(int *order, int count) {
    for (int i = count - 1; i > 0; i--) {
        int j = next_random() % (i + 1), other = order[i];
        order[i] = order[j], order[j] = other;
    }
}

static void softmax(const float *values, float temperature, float *shares) {
    float most = values[0], sum = 0;
    for (int k = 1; k < CLASSES; k++) most = fmaxf(most, values[k]);
    for (int k = 0; k < CLASSES; k++) sum += shares[k] = expf((values[k] - most) / temperature);
    for (int k = 0; k < CLASSES; k++) shares[k] /= sum;
}

/* error: d loss / d logits of one of `count` images. taught: the teacher's logits, NULL without one. */
static void loss_back(const float *logits, int label, const float *taught, int count, float *error) {
    float shares[CLASSES], soft_shares[CLASSES], wanted[CLASSES];
    softmax(logits, 1, shares);
    for (int k = 0; k < CLASSES; k++) error[k] = (1 - soft) * (shares[k] - (k == label)) / count;
    if (soft == 0) return;
    softmax(logits, temperature, soft_shares), softmax(taught, temperature, wanted);
    for (int k = 0; k < CLASSES; k++) error[k] += soft * temperature * (soft_shares[k] - wanted[k]) / count;
}

/* The penalty's weight after a batch with `share` of the additions: dual ascent, as SpikeBudget. */
static float follow(double share, long batch, long batches) {
    static double smooth = -1, from, base = .2;
    double window = fmax(3, .02 * batches), passed = (batch + 1.) / batches;
    smooth = smooth < 0 ? share : smooth + (share - smooth) / window;
    if (passed < warm_up) return 0;
    if (!from) from = fmax(smooth, budget);
    double target = from * pow(budget / from, fmin(1, (passed - warm_up) / (annealed - warm_up)));
    double excess = fmax(-1, fmin(1, log(fmax(smooth, 1e-9) / target)));
    base = fmin(10, fmax(1e-4, base * exp(20 * excess / batches)));
    return fmin(10, fmax(1e-4, base * exp(2 * excess)));
}

/* One step of Adam, its rate on a cosine. trained: 1 or 0 each, NULL where all are. */
static void adam(float *parameters, const float *gradients, const float *trained, int count, long batch,
                 long batches) {
    static float *means, *squares;
    if (!means) means = calloc(count, sizeof *means), squares = calloc(count, sizeof *squares);
    float now = rate * .5f * (1 + cosf(3.14159265f * batch / batches));
    now *= sqrtf(1 - powf(.999f, batch + 1)) / (1 - powf(.9f, batch + 1));
    for (int i = 0; i < count; i++) {
        float own = trained ? trained[i] : 1, grad = gradients[i] * own;
        means[i] += .1f * (grad - means[i]), squares[i] += .001f * (grad * grad - squares[i]);
        parameters[i] -= own * now * means[i] / (sqrtf(squares[i]) + 1e-7f);
    }
}

/* name=value. kind: c(haracter), i(nteger), f(loat) or s(tring). */
typedef struct {
    const char *name;
    char kind;
    void *to;
} option_t;

static int set_option(const char *text, const option_t *known, int count) {
    const char *value = strchr(text, '=');
    for (const option_t *option = known; value && option < known + count; option++) {
        size_t length = value - text;
        if (strlen(option->name) != length || strncmp(text, option->name, length)) continue;
        value++;
        if (option->kind == 'c') *(char *)option->to = *value;
        if (option->kind == 'i') *(int *)option->to = atoi(value);
        if (option->kind == 'f') *(float *)option->to = atof(value);
        if (option->kind == 's') *(const char **)option->to = value;
        return 1;
    }
    return 0;
}

static void read_options(int argc, char **argv, const option_t *known, int count) {
    const option_t shared[] = {{"rate", 'f', &rate},       {"soft", 'f', &soft},       {"temperature", 'f', &temperature},
                               {"budget", 'f', &budget},   {"warm_up", 'f', &warm_up}, {"annealed", 'f', &annealed}};
    for (int i = 3; i < argc; i++)
        if (!set_option(argv[i], known, count) && !set_option(argv[i], shared, sizeof shared / sizeof *shared))
            fprintf(stderr, "unknown: %s\n", argv[i]), exit(2);
}
