/* Neurons: keras_ternary_spike/neuron/dynamics.py with reset="zero", at all timesteps, and ReLU. */
#pragma once
#include <math.h>

#include "products.h"

/* kind: s(igned), u(nsigned) or r(elu). surrogate: r(ectangular) or t(riangular), of `width` thresholds. */
typedef struct {
    char kind, surrogate;
    int levels;
    float threshold, decay, width;
} neuron_t;

INLINE float level_of(neuron_t n, float membrane) {
    if (n.kind == 'r') return membrane > 0 ? membrane : 0;
    float height = n.kind == 's' ? fabsf(membrane) : membrane;
    float level = floorf(height / (2 * n.threshold) + .5f);
    level = level < 0 ? 0 : level > n.levels ? n.levels : level;
    return n.kind == 's' && membrane < 0 ? -level : level;
}

/* d level / d membrane: the bump of the nearest threshold. */
INLINE float slope_of(neuron_t n, float membrane) {
    if (n.kind == 'r') return membrane > 0;
    float height = (n.kind == 's' ? fabsf(membrane) : membrane) / n.threshold, nearest = ceilf(.5f * height);
    nearest = nearest < 1 ? 1 : nearest > n.levels ? n.levels : nearest;
    float distance = fabsf(height - (2 * nearest - 1)) / n.width;
    float bump = n.surrogate == 'r' ? (distance <= 1 ? .5f : 0) : distance < 1 ? 1 - distance : 0;
    return bump / (n.width * n.threshold);
}

/* Arrays of `size` neurons of one timestep: membrane = decay * state + current. */
INLINE void step(neuron_t n, int size, const float *current, float *state, float *membrane, float *level) {
    for (int i = 0; i < size; i++) {
        float value = n.decay * state[i] + current[i], fired = level_of(n, value);
        membrane[i] = value, level[i] = fired, state[i] = fired != 0 ? 0 : value;
    }
}

/* One timestep back. grad: of the level, becomes that of the current. grad_state: of the state that it leaves,
 * becomes that of the one before. */
INLINE void step_back(neuron_t n, int size, const float *membrane, float *grad, float *grad_state) {
    for (int i = 0; i < size; i++) {
        float value = membrane[i], level = level_of(n, value), slope = slope_of(n, value);
        float kept = (level == 0) - (fabsf(level) <= 1 ? value * level * slope : 0);
        grad[i] = grad[i] * slope + grad_state[i] * kept;
        grad_state[i] = n.decay * grad[i];
    }
}

/* Loops for each kind of neuron, so that none of them asks which it is. */
#define FOR_ITS_KIND(n, call)                            \
    switch (n.kind * 256 + n.surrogate) {                \
        case 's' * 256 + 'r': n.kind = 's', n.surrogate = 'r'; call; break; \
        case 's' * 256 + 't': n.kind = 's', n.surrogate = 't'; call; break; \
        case 'u' * 256 + 'r': n.kind = 'u', n.surrogate = 'r'; call; break; \
        case 'u' * 256 + 't': n.kind = 'u', n.surrogate = 't'; call; break; \
        default: n.kind = 'r', n.surrogate = 'r'; call;  \
    }
static void fire(neuron_t n, int size, const float *current, float *state, float *membrane, float *level) {
    FOR_ITS_KIND(n, step(n, size, current, state, membrane, level))
}
static void fire_back(neuron_t n, int size, const float *membrane, float *grad, float *grad_state) {
    FOR_ITS_KIND(n, step_back(n, size, membrane, grad, grad_state))
}
