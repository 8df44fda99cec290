#include "rescale.h"
#include "two_operands.h"

/* out = rescale(first * second), moved by their zero points */
static void product(const operands_t *operands, const int8_t *first, const int8_t *second, int32_t multiplier,
                    int32_t shift, int8_t *out)
{
    int32_t i, j = 0, k = 0;
    for (i = 0; i < operands->size; i++) {
        int32_t value = (first[j] - operands->first_zero) * (second[k] - operands->second_zero);
        out[i] = rescale(value, multiplier, shift, operands->out_zero, operands->low, operands->high);
        j = j + 1 == operands->first_period ? 0 : j + 1;
        k = k + 1 == operands->second_period ? 0 : k + 1;
    }
}
