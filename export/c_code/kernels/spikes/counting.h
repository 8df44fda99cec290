#ifdef WANTED
#define COUNT_ADDITIONS(STEP, EACH, EVENTS) (CONTEXT->counts.additions[STEP] += (EACH) * (EVENTS))
#define COUNT_PRODUCTS(STEP, EACH, EVENTS) (CONTEXT->counts.products[STEP] += (EACH) * (EVENTS))
#define COUNT_SPIKES(STEP, WORDS, SIZE) (CONTEXT->counts.spikes[STEP] += bits_set(WORDS, SIZE))

/* spikes in some bytes: bits that are set */
static uint32_t bits_set(const int8_t *words, int32_t size)
{
    uint32_t found = 0;
    int32_t i, bit;
    for (i = 0; i < size; i++)
        for (bit = 0; bit < 8; bit++)
            found += (uint32_t)words[i] >> bit & 1u;
    return found;
}
#else
#define COUNT_ADDITIONS(STEP, EACH, EVENTS) ((void)(EVENTS))
#define COUNT_PRODUCTS(STEP, EACH, EVENTS) ((void)(EVENTS))
#define COUNT_SPIKES(STEP, WORDS, SIZE) ((void)0)
#endif
