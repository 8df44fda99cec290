#include "two_operands.h"

/* out = clip(round((first * first_multiplier + second * second_multiplier) / 2^shift)), all moved by their zero points;
 * compared by the generator with the file's own scales on every pair that can occur */
static void weighted_sum(const operands_t *operands, const int8_t *first, int32_t first_multiplier,
                         const int8_t *second, int32_t second_multiplier, int32_t shift, int8_t *out)
{
    int32_t i, j = 0, k = 0;
    for (i = 0; i < operands->size; i++) {
        int64_t sum = (int64_t)(first[j] - operands->first_zero) * first_multiplier +
                      (int64_t)(second[k] - operands->second_zero) * second_multiplier;
        int64_t rounded = ((sum + ((int64_t)1 << (shift - 1))) >> shift) + operands->out_zero;
        out[i] = (int8_t)(rounded < operands->low ? operands->low : rounded > operands->high ? operands->high : rounded);
        j = j + 1 == operands->first_period ? 0 : j + 1;
        k = k + 1 == operands->second_period ? 0 : k + 1;
    }
}
