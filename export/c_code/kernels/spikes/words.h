/* Spikes are stored 16 channels a word: bit c for a spike +1 of channel c, bit 16 + c for a spike -1. Pixels lie in rows,
 * the words of a pixel side by side. Sums are stored two channels a word, see sums.h. */
#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias)) word_t; /* the arena is the caller's array of bytes */
typedef uint16_t __attribute__((may_alias)) half_t;
#define NOT_ALWAYS_USED __attribute__((unused)) /* by every kernel, on every processor */
#define INLINED __attribute__((always_inline, unused)) inline
#define APART_FROM_LOOPS __attribute__((noinline)) /* that would take its registers */
#define ONE_BY_ONE __asm__ volatile(""); /* in a short loop: no call of memset */
#else
typedef uint32_t word_t;
typedef uint16_t half_t;
#define NOT_ALWAYS_USED
#define INLINED
#define APART_FROM_LOOPS
#define ONE_BY_ONE
#endif

/* Processors that compute several sums at once store them signed; others store what is >= 0: sum + SUM_ZERO. */
#if defined(__ARM_FEATURE_MVE) || (defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32))
#define LANES_OF_SIXTEEN /* see lanes.h */
#elif defined(__AVX2__) && defined(__GNUC__)
#define VECTORS_OF_SIXTEEN /* see vectors.h */
#endif
#if defined(LANES_OF_SIXTEEN) || defined(VECTORS_OF_SIXTEEN)
#define SIGNED_SUMS
#define SUM_ZERO 0
#else
#define SUM_ZERO 32768
#endif
