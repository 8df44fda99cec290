/* Trains the networks of examples/ablation.py on one core: any neuron, any number of timesteps, shortcuts.
 *
 *     trainer DATA WEIGHTS layers=0,3,2,8,1,0,1;... size=28 train=48000 test=12000 epochs=3 seed=0 ... > result.json
 *
 * DATA: images of size x size bytes, those for training first, then a byte a label. WEIGHTS: 32-bit floats, read
 * before and written after. Adam with a cosine, batches of 64, the last one of an epoch smaller; the cross-entropy of
 * the mean logits. */
#include <stdint.h>

#include "network.h"

static float rate = 4e-3f;
static int epochs = 1, train_count, test_count, shuffled = 1;
static uint64_t random_state = 88172645463325252ull;

static uint64_t next_random(void) { /* xorshift64* */
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state * 2685821657736338717ull;
}

static void expect(int condition, const char *what) {
    if (!condition) fprintf(stderr, "%s\n", what), exit(2);
}

/* Of each layer the kernel; gamma, beta, moving mean and variance; amplitudes; then the dense layer and its bias. */
static void weights(const char *name, int writing) {
    FILE *file = fopen(name, writing ? "wb" : "rb");
    expect(file != NULL, name);
#define PASS(memory, n) expect((writing ? fwrite(memory, 4, n, file) : fread(memory, 4, n, file)) == (size_t)(n), name)
    for (layer_t *a = layers + 1; a <= layers + layer_count; a++) {
        int channels = a->shape.channels;
        PASS(parameters + a->kernel, depth_of(a->shape) * channels);
        if (a->normed) {
            PASS(parameters + a->gamma, channels);
            PASS(parameters + a->beta, channels);
            PASS(a->moving_mean, channels);
            PASS(a->moving_variance, channels);
        }
        if (a->fires) PASS(parameters + a->amplitude, channels);
    }
    PASS(parameters + dense, parameter_count - dense);
#undef PASS
    fclose(file);
}

static void put(const uint8_t *image, int b) {
    int pixels = image_size * image_size;
    for (int i = 0; i < pixels; i++) images[b * pixels + i] = image[i] * (1 / 255.f);
}

static void adam(int batch, int batches) {
    static float *means, *squares;
    if (!means) means = zeros(parameter_count), squares = zeros(parameter_count);
    float now = rate * .5f * (1 + cosf(3.14159265f * batch / batches));
    now *= sqrtf(1 - powf(.999f, batch + 1)) / (1 - powf(.9f, batch + 1));
    for (int i = 0; i < parameter_count; i++) {
        means[i] += .1f * (gradients[i] - means[i]);
        squares[i] += .001f * (gradients[i] * gradients[i] - squares[i]);
        parameters[i] -= now * means[i] / (sqrtf(squares[i]) + 1e-7f);
    }
}

static void loss_back(int count, const int *drawn, const uint8_t *labels, float *errors) {
    for (int b = 0; b < count; b++) {
        float most = logits[b * ROW], sum = 0, *error = errors + b * ROW;
        for (int k = 0; k < CLASSES; k++) most = fmaxf(most, logits[b * ROW + k]);
        for (int k = 0; k < CLASSES; k++) sum += error[k] = expf(logits[b * ROW + k] - most);
        for (int k = 0; k < CLASSES; k++) error[k] = (error[k] / sum - (k == labels[drawn[b]])) / count;
    }
}

static void train(const uint8_t *pixels, const uint8_t *labels) {
    int steps = (train_count + BATCH - 1) / BATCH, *order = zeros(train_count);
    static float errors[BATCH * ROW];
    for (int i = 0; i < train_count; i++) order[i] = i;
    for (int batch = 0; batch < steps * epochs; batch++) {
        for (int i = train_count - 1; batch % steps == 0 && shuffled && i > 0; i--) {
            int j = next_random() % (i + 1), other = order[i];
            order[i] = order[j], order[j] = other;
        }
        int first = batch % steps * BATCH, count = train_count - first < BATCH ? train_count - first : BATCH;
        for (int b = 0; b < count; b++) put(pixels + (long)image_size * image_size * order[first + b], b);
        forward(count, 1);
        loss_back(count, order + first, labels, errors);
        backward(count, errors);
        adam(batch, steps * epochs);
    }
}

/* Share of right answers; counts the levels of every layer. */
static double evaluate(const uint8_t *pixels, const uint8_t *labels) {
    int right = 0;
    for (int first = 0; first < test_count; first += BATCH) {
        int count = test_count - first < BATCH ? test_count - first : BATCH;
        for (int b = 0; b < count; b++) put(pixels + (long)image_size * image_size * (first + b), b);
        forward(count, 0);
        for (int b = 0; b < count; b++) {
            int best = 0;
            for (int k = 0; k < CLASSES; k++)
                if (logits[b * ROW + k] > logits[b * ROW + best]) best = k;
            right += best == labels[first + b];
        }
        for (layer_t *a = layers + 1; a <= layers + layer_count && neuron.kind != 'r'; a++)
            for (long i = 0; a->fires && i < (long)count * timesteps * neurons_of(a); i++)
                a->counts[(int)a->level[i] + LEVELS / 2]++;
    }
    return (double)right / test_count;
}

static void report(double accuracy) {
    printf("{\"accuracy\": %.6f, \"shares\": [", accuracy);
    const char *between = "";
    for (layer_t *a = layers + 1; a <= layers + layer_count; a++) {
        double all = (double)test_count * timesteps * neurons_of(a);
        if (!a->fires) continue;
        printf("%s[", between), between = ", ";
        for (int level = -neuron.levels; level <= neuron.levels; level++)
            printf("%s%.8f", level > -neuron.levels ? ", " : "", a->counts[level + LEVELS / 2] / all);
        printf("]");
    }
    printf("]}\n");
}

static void read_layers(const char *text) {
    for (; text; text = strchr(text, ';'), text += text != NULL) {
        int v[7];
        const char *form = "%d,%d,%d,%d,%d,%d,%d";
        expect(sscanf(text, form, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6) == 7,
               "layers: source,kernel,stride,channels,normed,addend,fires;...");
        expect(v[3] % 8 == 0 && v[3] <= 1024 && v[0] <= layer_count && v[5] <= layer_count,
               "channels must be a multiple of 8, sources earlier layers");
        add_layer(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
    }
    finish();
}

static const char *read_arguments(int argc, char **argv) {
    const char *given = NULL;
    struct {
        const char *name;
        char kind;
        void *to;
    } known[] = {{"layers", 's', &given},           {"size", 'i', &image_size},
                 {"train", 'i', &train_count},      {"test", 'i', &test_count},
                 {"epochs", 'i', &epochs},          {"timesteps", 'i', &timesteps},
                 {"kind", 'c', &neuron.kind},       {"surrogate", 'c', &neuron.surrogate},
                 {"levels", 'i', &neuron.levels},   {"threshold", 'f', &neuron.threshold},
                 {"decay", 'f', &neuron.decay},     {"amplitude", 'c', &trained_amplitude},
                 {"rate", 'f', &rate},              {"seed", 'u', &random_state},
                 {"shuffled", 'i', &shuffled}};
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t k = 0, all_of = sizeof known / sizeof *known;
        while (value && k < all_of && (strncmp(argv[i], known[k].name, value - argv[i]) || known[k].name[value - argv[i]]))
            k++;
        if (!value || k == all_of) fprintf(stderr, "unknown: %s\n", argv[i]), exit(2);
        value++;
        if (known[k].kind == 'c') *(char *)known[k].to = *value;
        if (known[k].kind == 'i') *(int *)known[k].to = atoi(value);
        if (known[k].kind == 'u') *(uint64_t *)known[k].to += atoi(value) * 7919ull;
        if (known[k].kind == 'f') *(float *)known[k].to = atof(value);
        if (known[k].kind == 's') *(const char **)known[k].to = value;
    }
    return given;
}

int main(int argc, char **argv) {
    expect(argc > 3, "usage: trainer DATA WEIGHTS option=value ...");
    read_layers(read_arguments(argc, argv));
    long pixels = (long)image_size * image_size, all = train_count + test_count;
    uint8_t *data = zeros((pixels + 1) * all / 4 + 1), *labels = data + pixels * all;
    FILE *file = fopen(argv[1], "rb");
    expect(file && fread(data, 1, (pixels + 1) * all, file) == (size_t)((pixels + 1) * all), argv[1]);
    for (int i = 0; i < 50; i++) next_random();
    weights(argv[2], 0);
    train(data, labels);
    double accuracy = evaluate(data + pixels * train_count, labels + train_count);
    weights(argv[2], 1);
    report(accuracy);
    return 0;
}
