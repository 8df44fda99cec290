/* Trains the networks of benchmarks/accuracy/front.py on one core, with the AMX tiles of recent Intel processors.
 *
 *     trainer images labels alphabet=u levels=4 seed=0 epochs=4 save=FILE ...
 *
 * images: bytes, 28x28 each, those for training first; labels: a byte each. Adam with a cosine, batches of 64; the
 * loss, a teacher's logits among it, and the penalty of a budget as in learning.h; with keep, magnitude pruning. Prints JSON. */
#include <sys/syscall.h>
#include <unistd.h>

#include "backward.h"
#include "prune.h"

static float width = 1; /* share of each layer's channels that there are; the others are 0 and stay so */
static float keep = 1;  /* share of each kernel's weights that are not 0 in the end */
static float first_step = .5f, shift;
static int epochs = 4, count = 60000, seed, test_from = 60000, test_count = 10000;
static const char *start, *save, *teacher;

static float uniform(void) { return (next_random() >> 40) / 16777216.f; }
static float normal(void) {
    float radius = uniform() + 1e-7f, angle = uniform();
    return sqrtf(-2 * logf(radius)) * cosf(6.2831853f * angle);
}

/* Kernel, gamma, beta, moving mean and variance, log step of each layer; the dense layer, rows of 16, and its bias.
 */
static void weights(const char *name, int writing) {
    FILE *file = fopen(name, writing ? "wb" : "rb");
    if (!file) perror(name), exit(2);
    float other_step;
#define PASS(memory, n) \
    if ((writing ? fwrite(memory, 4, n, file) : fread(memory, 4, n, file)) != (size_t)(n)) perror(name), exit(2)
    for (layer_t *a = layers; a < layers + LAYERS; a++) {
        PASS(parameters + a->kernel, TAPS * a->in_channels * a->channels);
        PASS(parameters + a->gamma, a->channels);
        PASS(parameters + a->beta, a->channels);
        PASS(a->moving_mean, a->channels);
        PASS(a->moving_variance, a->channels);
        PASS(writing ? parameters + a->step : &other_step, 1);
    }
    PASS(parameters + dense, layers[LAYERS - 1].channels * ROW);
    PASS(parameters + dense_bias, ROW);
#undef PASS
    fclose(file);
}

static void put(const uint8_t *image, int b) {
    layer_t *a = layers;
    float *to = (float *)a->input + (b * a->padded + a->offset) * a->padded + a->offset;
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++) to[y * a->padded + x] = image[y * SIZE + x] * (1 / 255.f);
}

static double share(void) {
    double sum = 0;
    for (layer_t *a = layers; a < layers + LAYERS; a++) sum += a->cost * a->firing_rate;
    return sum;
}

/* Accuracy; mean share of additions and rates by layer; logits to `out` unless it is NULL. */
static double evaluate(const uint8_t *images, const uint8_t *labels, int n, double *additions, double *rates,
                       float *out) {
    int right = 0;
    *additions = 0, memset(rates, 0, 2 * LAYERS * sizeof *rates);
    for (int first = 0; first < n; first += BATCH) {
        int here = n - first < BATCH ? n - first : BATCH;
        for (int b = 0; b < here; b++) put(images + 784L * (first + b), b);
        forward(here, 0);
        *additions += share() * here / n;
        for (int i = 0; i < LAYERS; i++)
            rates[i] += layers[i].firing_rate * here / n, rates[LAYERS + i] += layers[i].negative * here / n;
        for (int b = 0; b < here; b++) {
            int best = 0;
            for (int k = 0; k < CLASSES; k++) {
                if (logits[b * ROW + k] > logits[b * ROW + best]) best = k;
                if (out) out[(first + b) * (long)CLASSES + k] = logits[b * ROW + k];
            }
            right += best == labels[first + b];
        }
    }
    return (double)right / n;
}

static float train(const uint8_t *images, const uint8_t *labels) {
    float *taught = teacher ? whole_file(teacher, 4L * CLASSES * count) : NULL, weight = 0;
    long steps = count / BATCH, batches = steps * epochs;
    int *order = zeros(sizeof(int) * count);
    for (int i = 0; i < count; i++) order[i] = i;
    for (long batch = 0; batch < batches; batch++) {
        if (batch % steps == 0) shuffle(order, count);
        const int *drawn = order + batch % steps * BATCH;
        for (int b = 0; b < BATCH; b++) put(images + 784L * drawn[b], b);
        pack();
        forward(BATCH, 1);
        static float errors[BATCH * ROW];
        for (int b = 0; b < BATCH; b++)
            loss_back(logits + b * ROW, labels[drawn[b]], taught ? taught + (long)drawn[b] * CLASSES : NULL, BATCH,
                      errors + b * ROW);
        if (budget) weight = follow(share(), batch, batches);
        backward(errors, weight);
        adam(parameters, gradients, trained, parameter_count, batch, batches);
        if (keep < 1) prune(keep, batch, batches);
    }
    return weight;
}

static void read_arguments(int argc, char **argv) {
    const option_t known[] = {{"alphabet", 'c', &neuron.alphabet},
                              {"levels", 'i', &neuron.levels},
                              {"dead", 'f', &neuron.dead},
                              {"low", 'f', &neuron.low},
                              {"high", 'f', &neuron.high},
                              {"reach", 'f', &neuron.reach},
                              {"step", 'f', &first_step},
                              {"shift", 'f', &shift},
                              {"width", 'f', &width},
                              {"keep", 'f', &keep},
                              {"epochs", 'i', &epochs},
                              {"count", 'i', &count},
                              {"seed", 'i', &seed},
                              {"test_from", 'i', &test_from},
                              {"test_count", 'i', &test_count},
                              {"start", 's', &start},
                              {"save", 's', &save},
                              {"teacher", 's', &teacher}};
    read_options(argc, argv, known, sizeof known / sizeof *known);
}

int main(int argc, char **argv) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    if (argc < 3 || syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA))
        return fprintf(stderr, "usage: trainer images labels option=value ...; on a processor with AMX\n"), 1;
    read_arguments(argc, argv);
    int seen = count > test_from + test_count ? count : test_from + test_count;
    uint8_t *images = whole_file(argv[1], 784L * seen), *labels = whole_file(argv[2], seen);
    seed_random(seed);
    set_up(normal, first_step);
    for (layer_t *a = layers; a < layers + LAYERS; a++)
        for (int o = rintf(width * a->channels); o < a->channels; o++)
            parameters[a->gamma + o] = trained[a->gamma + o] = trained[a->beta + o] = 0;
    if (start) weights(start, 0);
    for (layer_t *a = layers; a < layers + LAYERS; a++)
        for (int o = 0; o < rintf(width * a->channels); o++) parameters[a->beta + o] += shift;
    float weight = train(images, labels);
    pack();
    double additions, rates[2 * LAYERS], ignored;
    double accuracy = evaluate(images + 784L * test_from, labels + test_from, test_count, &additions, rates, NULL);
    printf("{\"accuracy\": %.4f, \"additions\": %.4f, \"weight\": %.4f, \"rates\": [", accuracy, additions, weight);
    for (int i = 0; i < LAYERS; i++) printf("%s%.4f", i ? ", " : "", rates[i]);
    printf("], \"negative\": [");
    for (int i = 0; i < LAYERS; i++) printf("%s%.4f", i ? ", " : "", rates[LAYERS + i]);
    printf("]}\n");
    if (!save) return 0;
    weights(save, 1);
    char name[4096];
    snprintf(name, sizeof name, "%s.logits", save);
    float *out = zeros(4L * CLASSES * count);
    evaluate(images, labels, count, &ignored, rates, out);
    write_file(name, out, 4L * CLASSES * count);
    return 0;
}
