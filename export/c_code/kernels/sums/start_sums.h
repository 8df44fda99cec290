#include "words.h"

#if defined(__GNUC__)
typedef struct {
    uint32_t words[8];
} __attribute__((may_alias)) block_t;
#else
typedef struct {
    uint32_t words[8];
} block_t;
#endif

/* sums = bias, of some blocks of 16 channels: memcpy of small C libraries goes byte by byte */
NOT_ALWAYS_USED static inline void start_sums(word_t *sums, const word_t *bias, int32_t blocks)
{
    const block_t *from = (const block_t *)(const void *)bias;
    block_t *to = (block_t *)(void *)sums;
    while (blocks-- > 0)
        *to++ = *from++;
}
