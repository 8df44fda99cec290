/* Spikes are stored 16 channels a word: bit c for a spike +1 of channel c, bit 16 + c for a spike -1. Pixels lie in rows,
 * the words of a pixel side by side. Sums are stored two channels a word, see sums.h. */
#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias)) word_t; /* the arena is the caller's array of bytes */
typedef uint16_t __attribute__((may_alias)) half_t;
#else
typedef uint32_t word_t;
typedef uint16_t half_t;
#endif
