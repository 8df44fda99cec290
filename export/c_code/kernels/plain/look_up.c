/* out[i] = table[in[i] + 128] */
static void look_up(int32_t size, const int8_t *in, const int8_t *table, int8_t *out)
{
    int32_t i;
    for (i = 0; i < size; i++)
        out[i] = table[in[i] + 128];
}
