/* round(value * multiplier / 2^shift) + zero, clipped to [low, high].
 * The generator has compared it with the file's own scale on every value that can occur: none is a tie. */
static int8_t rescale(int32_t value, int32_t multiplier, int32_t shift, int32_t zero, int32_t low, int32_t high)
{
    int64_t product = (int64_t)value * multiplier + ((int64_t)1 << (shift - 1));
    int64_t rounded = (product >> shift) + zero;
    return (int8_t)(rounded < low ? low : rounded > high ? high : rounded);
}
