/* Trains a network of spiking layers on one core: any neuron, any number of timesteps, shortcuts, streams.
 *
 *     trainer DATA WEIGHTS layers=0,3,2,8,1,0,1;... size=28 train=48000 test=12000 epochs=3 seed=0 ... > result.json
 *
 * DATA: images of size x size bytes, those for training first, then a byte a label. WEIGHTS: 32-bit floats, read
 * before and written after. Adam with a cosine, batches of 64, the last one of an epoch smaller; the loss of the mean
 * logits, a teacher's logits of the training images among it, and the penalty of a budget as in
 * ../trainer/learning.h. logits: where to write those of the training images. With -DTILES convolutions are products
 * of bfloat16 on AMX tiles. */
#include "backward.h"
#ifdef TILES
#include <sys/syscall.h>
#include <unistd.h>
#endif

static int epochs = 1, train_count, test_count, shuffled = 1, seed;
static const char *teacher, *written_logits;

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

static float train(const uint8_t *pixels, const uint8_t *labels) {
    const float *taught = teacher ? whole_file(teacher, 4L * CLASSES * train_count) : NULL;
    long steps = (train_count + BATCH - 1) / BATCH, batches = steps * epochs;
    int *order = zeros(train_count);
    float errors[BATCH * ROW], weight = 0;
    for (int i = 0; i < train_count; i++) order[i] = i;
    for (long batch = 0; batch < batches; batch++) {
        if (batch % steps == 0 && shuffled) shuffle(order, train_count);
        int first = batch % steps * BATCH, count = train_count - first < BATCH ? train_count - first : BATCH;
        const int *drawn = order + first;
        for (int b = 0; b < count; b++) put(pixels + (long)image_size * image_size * drawn[b], b);
        forward(count, 1, 0);
        for (int b = 0; b < count; b++)
            loss_back(logits + b * ROW, labels[drawn[b]], taught ? taught + (long)drawn[b] * CLASSES : NULL, count,
                      errors + b * ROW);
        if (budget) weight = follow(share_of_additions(), batch, batches);
        backward(count, errors, weight);
        adam(parameters, gradients, NULL, parameter_count, batch, batches);
    }
    return weight;
}

/* Share of right answers. Counts the levels of every layer, writes all logits to `out` unless it is NULL. */
static double evaluate(const uint8_t *pixels, const uint8_t *labels, int all, double *additions, float *out) {
    int right = 0;
    *additions = 0;
    for (int first = 0; first < all; first += BATCH) {
        int count = all - first < BATCH ? all - first : BATCH;
        for (int b = 0; b < count; b++) put(pixels + (long)image_size * image_size * (first + b), b);
        forward(count, 0, !out && neuron.kind != 'r');
        *additions += share_of_additions() * count / all;
        for (int b = 0; b < count; b++) {
            int best = 0;
            for (int k = 0; k < CLASSES; k++)
                if (logits[b * ROW + k] > logits[b * ROW + best]) best = k;
            right += best == labels[first + b];
            if (out) memcpy(out + (long)(first + b) * CLASSES, logits + b * ROW, 4L * CLASSES);
        }
    }
    return (double)right / all;
}

static void report(double accuracy, double additions, float weight) {
    printf("{\"accuracy\": %.6f, \"additions\": %.6f, \"weight\": %.6f, \"shares\": [", accuracy, additions, weight);
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
        expect(v[3] % 8 == 0 && v[3] <= MOST_CHANNELS && v[0] <= layer_count && v[5] <= layer_count,
               "channels must be a multiple of 8, sources earlier layers");
        add_layer(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
    }
    finish();
}

static const char *read_arguments(int argc, char **argv) {
    const char *given = NULL;
    const option_t known[] = {{"layers", 's', &given},
                              {"size", 'i', &image_size},
                              {"train", 'i', &train_count},
                              {"test", 'i', &test_count},
                              {"epochs", 'i', &epochs},
                              {"timesteps", 'i', &timesteps},
                              {"kind", 'c', &neuron.kind},
                              {"surrogate", 'c', &neuron.surrogate},
                              {"levels", 'i', &neuron.levels},
                              {"threshold", 'f', &neuron.threshold},
                              {"width", 'f', &neuron.width},
                              {"dead_zone", 'f', &neuron.dead_zone},
                              {"decay", 'f', &neuron.decay},
                              {"trained", 'c', &trained_amplitude},
                              {"amplitude", 'f', &amplitude},
                              {"momentum", 'f', &momentum},
                              {"headroom", 'f', &headroom},
                              {"seed", 'i', &seed},
                              {"shuffled", 'i', &shuffled},
                              {"teacher", 's', &teacher},
                              {"logits", 's', &written_logits}};
    read_options(argc, argv, known, sizeof known / sizeof *known);
    return given;
}

static void permit_tiles(void) {
#ifdef TILES
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    expect(!syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA), "it needs a processor with AMX");
    configure(16);
#endif
}

int main(int argc, char **argv) {
    expect(argc > 3, "usage: trainer DATA WEIGHTS option=value ...");
    permit_tiles();
    read_layers(read_arguments(argc, argv));
    long pixels = (long)image_size * image_size, all = train_count + test_count;
    uint8_t *data = whole_file(argv[1], (pixels + 1) * all), *labels = data + pixels * all;
    seed_random(seed);
    weights(argv[2], 0);
    float weight = train(data, labels);
    double additions, ignored;
    double accuracy = evaluate(data + pixels * train_count, labels + train_count, test_count, &additions, NULL);
    weights(argv[2], 1);
    report(accuracy, additions, weight);
    if (!written_logits) return 0;
    float *out = zeros(CLASSES * train_count);
    evaluate(data, labels, train_count, &ignored, out);
    write_file(written_logits, out, 4L * CLASSES * train_count);
    return 0;
}
