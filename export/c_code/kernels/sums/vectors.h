#include "words.h"

/* Sums of a block as one vector of sixteen int16, channel by channel. */
#ifdef VECTORS_OF_SIXTEEN
#include <immintrin.h>

NOT_ALWAYS_USED static inline __m256i loaded(const void *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

NOT_ALWAYS_USED static inline void stored(void *to, __m256i vector)
{
    _mm256_storeu_si256((__m256i *)to, vector);
}

/* sixteen int8 as int16 */
NOT_ALWAYS_USED static inline __m256i widened(const int8_t *from)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from));
}

/* Bits of a word where the lanes of a vector, and behind them those of another, are all ones. */
NOT_ALWAYS_USED static inline uint32_t bits_of(__m256i plus, __m256i minus)
{
    __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(plus, minus), 0xD8);
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

/* round(scale * sum) of four channels in both halves, clipped to int16; multipliers, offsets and shifts stand as
 * unpacking orders channels: 0-3, 8-11, and 4-7, 12-15. See scaled.h. */
NOT_ALWAYS_USED static inline __m256i vector_scaled(const word_t *sums, const int32_t *scale)
{
    __m256i sum = loaded(sums), sign = _mm256_srai_epi16(sum, 15);
    __m256i low = _mm256_mullo_epi32(_mm256_unpacklo_epi16(sum, sign), loaded(scale));
    __m256i high = _mm256_mullo_epi32(_mm256_unpackhi_epi16(sum, sign), loaded(scale + 8));
    low = _mm256_srav_epi32(_mm256_add_epi32(low, loaded(scale + 16)), loaded(scale + 32));
    high = _mm256_srav_epi32(_mm256_add_epi32(high, loaded(scale + 24)), loaded(scale + 40));
    return _mm256_packs_epi32(low, high);
}
#endif
