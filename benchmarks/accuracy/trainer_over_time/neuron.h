/* Neurons: keras_ternary_spike/neuron/dynamics.py with reset="zero", at all timesteps, and ReLU. */
#pragma once
#include <math.h>

#include "products.h"

/* kind: s(igned), u(nsigned) or r(elu). surrogate: r(ectangular) or t(riangular), of `width` thresholds. The first
 * level starts at dead_zone thresholds, a further one every two. */
typedef struct {
    char kind, surrogate;
    int levels;
    float threshold, decay, width, dead_zone;
} neuron_t;

INLINE float level_of(neuron_t n, float membrane) {
    if (n.kind == 'r') return membrane > 0 ? membrane : 0;
    float height = n.kind == 's' ? fabsf(membrane) : membrane;
    float level = floorf(.5f * (height / n.threshold - n.dead_zone) + 1);
    level = level < 0 ? 0 : level > n.levels ? n.levels : level;
    return n.kind == 's' && membrane < 0 ? -level : level;
}

/* d level / d membrane: the bump of the nearest threshold. */
INLINE float slope_of(neuron_t n, float membrane) {
    if (n.kind == 'r') return membrane > 0 ? 1 : 0;
    float height = (n.kind == 's' ? fabsf(membrane) : membrane) / n.threshold - n.dead_zone;
    float nearest = ceilf(.5f * (height + 1));
    nearest = nearest < 1 ? 1 : nearest > n.levels ? n.levels : nearest;
    float distance = fabsf(height - 2 * (nearest - 1)) / n.width;
    float bump = n.surrogate == 'r' ? (distance <= 1 ? .5f : 0) : distance < 1 ? 1 - distance : 0;
    return bump / (n.width * n.threshold);
}

/* Arrays of `size` neurons of one timestep: membrane, at first the current, += decay * state; value = amplitude *
 * level. */
INLINE void step(neuron_t n, int size, const float *restrict amplitude, float *restrict state,
                 float *restrict membrane, float *restrict value) {
    for (int i = 0; i < size; i++) {
        float here = n.decay * state[i] + membrane[i], fired = level_of(n, here);
        membrane[i] = here, state[i] = fired != 0 ? 0 : here, value[i] = amplitude[i] * fired;
    }
}

/* One timestep back. grad: of the value, becomes that of the current. grad_state: of the state that it leaves, becomes
 * that of the one before. penalty: d loss / d |level|. Adds to what is d loss / d amplitude, and d loss / d log of a
 * factor of all thresholds: of the level, -membrane times what it is by the membrane. */
INLINE void step_back(neuron_t n, int size, float penalty, const float *restrict amplitude,
                      const float *restrict membrane, float *restrict grad, float *restrict grad_state,
                      float *restrict by_amplitude, float *restrict by_factor) {
    for (int i = 0; i < size; i++) {
        float here = membrane[i], level = level_of(n, here), slope = slope_of(n, here);
        float towards = n.kind == 's' && here < 0 ? -penalty : penalty;
        float reset = fabsf(level) <= 1 ? here * level * slope : 0;
        float fired = (grad[i] * amplitude[i] + towards) * slope - grad_state[i] * reset;
        by_amplitude[i] += grad[i] * level, by_factor[i] -= fired * here;
        grad[i] = fired + grad_state[i] * (level == 0 ? 1 : 0);
        grad_state[i] = n.decay * grad[i];
    }
}

/* Loops for each kind of neuron, so that none of them asks which it is. */
#define FOR_ITS_KIND(n, call)                                               \
    switch (n.kind * 256 + n.surrogate) {                                   \
        case 's' * 256 + 'r': n.kind = 's', n.surrogate = 'r'; call; break; \
        case 's' * 256 + 't': n.kind = 's', n.surrogate = 't'; call; break; \
        case 'u' * 256 + 'r': n.kind = 'u', n.surrogate = 'r'; call; break; \
        case 'u' * 256 + 't': n.kind = 'u', n.surrogate = 't'; call; break; \
        default: n.kind = 'r', n.surrogate = 'r'; call;                     \
    }
static void fire(neuron_t n, int size, const float *amplitude, float *state, float *membrane, float *value) {
    FOR_ITS_KIND(n, step(n, size, amplitude, state, membrane, value))
}
static void fire_back(neuron_t n, int size, float penalty, const float *amplitude, const float *membrane, float *grad,
                      float *grad_state, float *by_amplitude, float *by_factor) {
    FOR_ITS_KIND(n, step_back(n, size, penalty, amplitude, membrane, grad, grad_state, by_amplitude, by_factor))
}
