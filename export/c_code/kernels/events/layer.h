#include "window.h"
#include "words.h"

/* A layer whose work follows what fired. For every output pixel a gather fills `sums` sums, a finish makes them spikes
 * or values. */
typedef struct {
    window_t window;
    int32_t transposed;         /* whether tap k of the output pixel y looks at (y + top - k) / stride */
    int32_t timesteps;          /* outputs */
    int32_t sums;               /* timesteps, or 1 where all have the same current */
    int32_t sources;            /* spike tensors that add up in one sum */
    int32_t blocks;             /* of 16 output channels */
    int32_t list;               /* events that a list holds */
    const void *weights;
    const uint32_t *bias;       /* where sums begin */
    const int32_t *value_scale; /* gather_values, of every channel: multiplier and bias */
    const uint8_t *value_shift;
    const int32_t *scale;       /* of every channel: multiplier, offset and shift of its sum + 32768; or see lanes.h */
    const uint32_t *above, *below; /* fire */
    const int8_t *carried;      /* integrate: what is left of a membrane at the next timestep, from lowest on */
    int32_t lowest, highest;    /* integrate: quiet membranes; store: results */
    int32_t lanes, decay;       /* integrate: whether scales are those of lanes.h where it is used; share of 2^15 kept */
} layer_t;

#ifdef LANES_OF_SIXTEEN
#define SCALES_OF_BLOCK(LAYER) ((LAYER)->lanes != 0 ? 32 : 48)
#else
#define SCALES_OF_BLOCK(LAYER) 48
#endif

/* Adds what fired under the window of one output pixel to the sums; returns how many events that were. */
typedef uint32_t gather_t(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t x,
                          word_t *sums, half_t *list);
/* Makes the sums of one output pixel, `stride` words from one timestep to the next, into what comes out. */
typedef void finish_t(const layer_t *layer, const word_t *sums, int32_t stride, int32_t pixel, int8_t *target,
                      const int32_t *out);
