/* Two operands of an elementwise operator: the one at out[i] is first[i % first_period], second[i % second_period].
 * A period is the size of the output, or of its last axes, or 1. */
typedef struct {
    int32_t size, first_period, second_period;
    int32_t first_zero, second_zero, out_zero, low, high;
} operands_t;
