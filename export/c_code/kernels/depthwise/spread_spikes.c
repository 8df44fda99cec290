#include "lane.h"
#include "lowest_bit.h"
#include "spread.h"
#include "vectors.h"

#define NINE_TAPS                                                                                                      \
    ADD_TAP(rows[0], 0, 0) ADD_TAP(rows[0], lanes, 1) ADD_TAP(rows[0], 2 * lanes, 2)                                   \
    ADD_TAP(rows[1], 0, 3) ADD_TAP(rows[1], lanes, 4) ADD_TAP(rows[1], 2 * lanes, 5)                                   \
    ADD_TAP(rows[2], 0, 6) ADD_TAP(rows[2], lanes, 7) ADD_TAP(rows[2], 2 * lanes, 8)
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

static void add_tap(int16_t *sum, int16x8_t low, int16x8_t high, const int8_t *weight)
{
    vstrhq_s16(sum, vaddq_s16(vldrhq_s16(sum), vmulq_s16(low, vldrbq_s16(weight))));
    vstrhq_s16(sum + 8, vaddq_s16(vldrhq_s16(sum + 8), vmulq_s16(high, vldrbq_s16(weight + 8))));
}

#define ADD_TAP(ROW, AT, TAP) add_tap((int16_t *)(ROW) + first + (AT), low, high, weight + 16 * (TAP));

/* Adds the weights of 16 channels, each times its spike, to the sums around a pixel; rows: where its window begins in
 * each row of sums. Returns the number of spikes. */
static uint32_t scatter(uint32_t up, uint32_t down, const int8_t *weight, half_t *const *rows, const window_t *window,
                        int32_t lanes, int32_t first)
{
    int8x16_t spike = vdupq_m_n_s8(vdupq_m_n_s8(vdupq_n_s8(0), 1, (mve_pred16_t)up), -1, (mve_pred16_t)down);
    int8_t spikes[16];
    int16x8_t low, high;
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;
    vstrbq_s8(spikes, spike);
    low = vldrbq_s16(spikes), high = vldrbq_s16(spikes + 8);
    if (taps_y == 3 && taps_x == 3) {
        NINE_TAPS
    } else {
        for (ky = 0; ky < taps_y; ky++)
            for (kx = 0; kx < taps_x; kx++)
                ADD_TAP(rows[ky], kx * lanes, ky * taps_x + kx)
    }
    return vaddvq_u8(vreinterpretq_u8_s8(vabsq_s8(spike)));
}
#elif defined(VECTORS_OF_SIXTEEN)
#define ADD_TAP(ROW, AT, TAP)                                                                                          \
    {                                                                                                                  \
        half_t *sum = (ROW) + first + (AT);                                                                            \
        stored(sum, _mm256_add_epi16(loaded(sum), _mm256_sign_epi16(widened(weight + 16 * (TAP)), spike)));            \
    }

/* As with Helium. */
static uint32_t scatter(uint32_t up, uint32_t down, const int8_t *weight, half_t *const *rows, const window_t *window,
                        int32_t lanes, int32_t first)
{
    __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768);
    __m256i plus = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((int16_t)up), bit), bit);
    __m256i minus = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((int16_t)down), bit), bit);
    __m256i spike = _mm256_sub_epi16(minus, plus);
    int32_t taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;
    if (taps_y == 3 && taps_x == 3) {
        NINE_TAPS
    } else {
        for (ky = 0; ky < taps_y; ky++)
            for (kx = 0; kx < taps_x; kx++)
                ADD_TAP(rows[ky], kx * lanes, ky * taps_x + kx)
    }
    return (uint32_t)__builtin_popcount(up | down);
}
#else
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

#define APART __attribute__((noinline))
#define ADD_BYTE(AT, ROTATED)                                                                                          \
    {                                                                                                                  \
        uint32_t added = sum[AT];                                                                                      \
        __asm__("sxtab %0, %0, %1" ROTATED : "+r"(added) : "r"(packed));                                               \
        sum[AT] = (half_t)added;                                                                                       \
    }
#define WORD_PLUS packed = *weight++;
#define WORD_MINUS packed = __usub8(0, *weight++);
#define THREE(SIGN, ROW)                                                                                               \
    sum = (ROW) + LANE(channel);                                                                                       \
    WORD_##SIGN ADD_BYTE(0, ) ADD_BYTE(lanes, ", ror #8") ADD_BYTE(2 * lanes, ", ror #16")
#define NINE(SIGN)                                                                                                     \
    const uint32_t *weight = (const uint32_t *)(const void *)weights + 3 * channel;                                    \
    uint32_t packed;
#else
#define THREE(SIGN, ROW) sum = (ROW) + LANE(channel); TAP(SIGN, 0) TAP(SIGN, lanes) TAP(SIGN, 2 * lanes)
#define APART
#define NINE(SIGN) const int8_t *weight = weights + channel;
#endif
#define ADDED_PLUS +
#define ADDED_MINUS -
#define TAP(SIGN, AT) sum[AT] = (half_t)(sum[AT] ADDED_##SIGN *weight); weight += 16;

/* Adds (or subtracts) the weights of some of 16 channels to the sums around a pixel; rows: where its window begins in
 * each row of sums. Returns the number of channels. */
#define SCATTER(NAME, SIGN)                                                                                            \
    static uint32_t NAME(uint32_t bits, const int8_t *weights, half_t *const *rows, const window_t *window,            \
                         int32_t lanes, int32_t first)                                                                 \
    {                                                                                                                  \
        int32_t taps_y = window->taps_y, taps_x = window->taps_x, ky, kx;                                              \
        uint32_t events = 0;                                                                                           \
        half_t *sum;                                                                                                   \
        if (taps_y == 3 && taps_x == 3) {                                                                              \
            half_t *above = rows[0] + first, *level = rows[1] + first, *below = rows[2] + first;                       \
            for (; bits != 0; bits &= bits - 1, events++) {                                                            \
                int32_t channel = lowest_bit(bits);                                                                    \
                NINE(SIGN)                                                                                             \
                THREE(SIGN, above) THREE(SIGN, level) THREE(SIGN, below)                                               \
            }                                                                                                          \
            return events;                                                                                             \
        }                                                                                                              \
        for (; bits != 0; bits &= bits - 1, events++) {                                                                \
            int32_t channel = lowest_bit(bits);                                                                        \
            const int8_t *weight = weights + channel;                                                                  \
            for (ky = 0; ky < taps_y; ky++) {                                                                          \
                sum = rows[ky] + first + LANE(channel);                                                                \
                for (kx = 0; kx < taps_x; kx++, sum += lanes) {                                                        \
                    TAP(SIGN, 0)                                                                                       \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return events;                                                                                                 \
    }

SCATTER(scatter_plus, PLUS)
SCATTER(scatter_minus, MINUS)

APART static uint32_t scatter(uint32_t up, uint32_t down, const int8_t *weights, half_t *const *rows, const window_t *window,
                        int32_t lanes, int32_t first)
{
    uint32_t events = 0;
    if (up != 0)
        events += scatter_plus(up, weights, rows, window, lanes, first);
    if (down != 0)
        events += scatter_minus(down, weights, rows, window, lanes, first);
    return events;
}
#endif

/* sums[c] of (y + top - ky, x + left - kx) += weights[ky][kx][c] * spike[y][x][c], only where a spike is */
static uint32_t spread_spikes(const layer_t *layer, const int8_t *base, const int32_t *in, int32_t y, int32_t parts,
                              int32_t number, half_t *const *rows)
{
    const window_t *window = &layer->window;
    const int8_t *weights = (const int8_t *)layer->weights;
    int32_t block_bytes = 16 * BYTES_OF_CHANNEL(window), words = layer->blocks, lanes = 16 * words, source, x, word;
    uint32_t events = 0;
    for (source = 0; source < layer->sources; source++) {
        const word_t *spikes = (const word_t *)(const void *)(base + in[source]);
        spikes += (y * window->width * parts + number) * words;
        for (x = 0; x < window->width; x++, spikes += (parts - 1) * words) {
            for (word = 0; word < words; word++) {
                uint32_t up = *spikes & 0xFFFFu, down = *spikes >> 16;
                spikes++;
                if ((up | down) != 0)
                    events += scatter(up, down, weights + word * block_bytes, rows, window, lanes,
                                      x * lanes + 16 * word);
            }
        }
    }
    return events;
}
