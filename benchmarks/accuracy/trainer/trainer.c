/* Trains the networks of benchmarks/accuracy/front.py on one core, with the AMX tiles of recent Intel processors.
 *
 *     trainer images labels alphabet=u levels=4 seed=0 epochs=4 save=FILE ...
 *
 * images: bytes, 28x28 each, those for training first; labels: a byte each. Adam with a cosine, batches of 64; the
 * loss (1 - soft) * cross entropy + soft * temperature^2 * cross entropy with the teacher's softmax(logits /
 * temperature) and, with a budget, the penalty and its weight as in keras_ternary_spike/training/spike_budget.py;
 * with keep, magnitude pruning. Prints JSON. */
#include <sys/syscall.h>
#include <unistd.h>

#include "backward.h"
#include "prune.h"

static float width = 1; /* share of each layer's channels that there are; the others are 0 and stay so */
static float keep = 1;  /* share of each kernel's weights that are not 0 in the end */
static float first_step = .5f, shift, budget, warm_up = .02f, annealed = .3f, soft, temperature = 2, rate = 16e-3f;
static int epochs = 4, count = 60000, seed, test_from = 60000, test_count = 10000;
static const char *start, *save, *teacher;

static uint64_t state;
static uint64_t next_random(void) { /* xorshift64* */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 2685821657736338717ull;
}
static float uniform(void) { return (next_random() >> 40) / 16777216.f; }
static float normal(void) {
    float radius = uniform() + 1e-7f, angle = uniform();
    return sqrtf(-2 * logf(radius)) * cosf(6.2831853f * angle);
}

static void *whole_file(const char *name, size_t bytes) {
    FILE *file = fopen(name, "rb");
    void *content = zeros(bytes);
    if (!file || fread(content, 1, bytes, file) != bytes) {
        fprintf(stderr, "%s must hold %zu bytes\n", name, bytes);
        exit(2);
    }
    fclose(file);
    return content;
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

static void softmax(const float *values, float temperature, float *shares) {
    float most = values[0], sum = 0;
    for (int k = 1; k < CLASSES; k++) most = fmaxf(most, values[k]);
    for (int k = 0; k < CLASSES; k++) sum += shares[k] = expf((values[k] - most) / temperature);
    for (int k = 0; k < CLASSES; k++) shares[k] /= sum;
}

static void loss_back(int b, int label, const float *taught, float *error) {
    float shares[CLASSES], soft_shares[CLASSES], wanted[CLASSES];
    softmax(logits + b * ROW, 1, shares);
    for (int k = 0; k < CLASSES; k++) error[k] = (1 - soft) * (shares[k] - (k == label)) / BATCH;
    if (soft == 0) return;
    softmax(logits + b * ROW, temperature, soft_shares), softmax(taught, temperature, wanted);
    for (int k = 0; k < CLASSES; k++) error[k] += soft * temperature * (soft_shares[k] - wanted[k]) / BATCH;
}

/* The penalty's weight after a batch: dual ascent, as SpikeBudget. */
static float follow(long batch, long batches) {
    static double smooth = -1, from, base = .2;
    double window = fmax(3, .02 * batches), passed = (batch + 1.) / batches;
    smooth = smooth < 0 ? share() : smooth + (share() - smooth) / window;
    if (passed < warm_up) return 0;
    if (!from) from = fmax(smooth, budget);
    double target = from * pow(budget / from, fmin(1, (passed - warm_up) / (annealed - warm_up)));
    double excess = fmax(-1, fmin(1, log(fmax(smooth, 1e-9) / target)));
    base = fmin(10, fmax(1e-4, base * exp(20 * excess / batches)));
    return fmin(10, fmax(1e-4, base * exp(2 * excess)));
}

static void adam(long batch, long batches) {
    static float *means, *squares;
    if (!means) means = zeros(4 * parameter_count), squares = zeros(4 * parameter_count);
    float now = rate * .5f * (1 + cosf(3.14159265f * batch / batches));
    now *= sqrtf(1 - powf(.999f, batch + 1)) / (1 - powf(.9f, batch + 1));
    for (int i = 0; i < parameter_count; i++) {
        float grad = gradients[i] * trained[i];
        means[i] += .1f * (grad - means[i]), squares[i] += .001f * (grad * grad - squares[i]);
        parameters[i] -= trained[i] * now * means[i] / (sqrtf(squares[i]) + 1e-7f);
    }
}

static float train(const uint8_t *images, const uint8_t *labels) {
    float *taught = teacher ? whole_file(teacher, 4L * CLASSES * count) : NULL, weight = 0;
    long steps = count / BATCH, batches = steps * epochs;
    int *order = zeros(sizeof(int) * count);
    for (int i = 0; i < count; i++) order[i] = i;
    for (long batch = 0; batch < batches; batch++) {
        if (batch % steps == 0)
            for (int i = count - 1; i > 0; i--) {
                int j = next_random() % (i + 1), other = order[i];
                order[i] = order[j], order[j] = other;
            }
        const int *drawn = order + batch % steps * BATCH;
        for (int b = 0; b < BATCH; b++) put(images + 784L * drawn[b], b);
        pack();
        forward(BATCH, 1);
        static float errors[BATCH * ROW];
        for (int b = 0; b < BATCH; b++)
            loss_back(b, labels[drawn[b]], taught ? taught + (long)drawn[b] * CLASSES : NULL, errors + b * ROW);
        if (budget) weight = follow(batch, batches);
        backward(errors, weight);
        adam(batch, batches);
        if (keep < 1) prune(keep, batch, batches);
    }
    return weight;
}

static void read_arguments(int argc, char **argv) {
    struct {
        const char *name;
        char kind;
        void *to;
    } known[] = {{"alphabet", 'c', &neuron.alphabet},
                 {"levels", 'i', &neuron.levels},
                 {"dead", 'f', &neuron.dead},
                 {"low", 'f', &neuron.low},
                 {"high", 'f', &neuron.high},
                 {"reach", 'f', &neuron.reach},
                 {"step", 'f', &first_step},
                 {"shift", 'f', &shift},
                 {"budget", 'f', &budget},
                 {"warm_up", 'f', &warm_up},
                 {"annealed", 'f', &annealed},
                 {"soft", 'f', &soft},
                 {"temperature", 'f', &temperature},
                 {"rate", 'f', &rate},
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
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t k = 0, all_of = sizeof known / sizeof *known;
        while (value && k < all_of && strncmp(argv[i], known[k].name, value - argv[i])) k++;
        if (!value || k == all_of) fprintf(stderr, "unknown: %s\n", argv[i]), exit(2);
        value++;
        if (known[k].kind == 'c') *(char *)known[k].to = *value;
        if (known[k].kind == 'i') *(int *)known[k].to = atoi(value);
        if (known[k].kind == 'f') *(float *)known[k].to = atof(value);
        if (known[k].kind == 's') *(const char **)known[k].to = value;
    }
}

int main(int argc, char **argv) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    if (argc < 3 || syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA))
        return fprintf(stderr, "usage: trainer images labels option=value ...; on a processor with AMX\n"), 1;
    read_arguments(argc, argv);
    int seen = count > test_from + test_count ? count : test_from + test_count;
    uint8_t *images = whole_file(argv[1], 784L * seen), *labels = whole_file(argv[2], seen);
    state = 88172645463325252ull + seed * 7919;
    for (int i = 0; i < 50; i++) next_random();
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
    FILE *file = fopen(name, "wb");
    if (!file || fwrite(out, 4, CLASSES * count, file) != (size_t)(CLASSES * count)) perror(name), exit(2);
    fclose(file);
    return 0;
}
