/* the number of the lowest bit that is set */
static inline int32_t lowest_bit(uint32_t bits)
{
#if defined(__ARM_FEATURE_CLZ) || defined(__x86_64__) || defined(__aarch64__) || defined(__riscv_zbb)
    return __builtin_ctz(bits);
#else
    static const uint8_t position[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                         31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
    return position[((bits & (0u - bits)) * 0x077CB531u) >> 27]; /* a de Bruijn sequence: no two shifts look alike */
#endif
}
