#include "words.h"

/* round(scale * sum) less a constant, from a stored sum: products of sum + 32768 wrap, and the offset brings them back
 * into int32 */
NOT_ALWAYS_USED static inline int32_t scaled(uint32_t sum, const int32_t *scale)
{
    return (int32_t)((sum ^ (32768u - SUM_ZERO)) * (uint32_t)scale[0] + (uint32_t)scale[1]) >> scale[2];
}
