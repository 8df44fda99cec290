#include <string.h>

/* A box of up to four axes, as bytes: the strides are those of the arrays around it. */
typedef struct {
    int32_t size[4];
    int32_t in_stride[3], out_stride[3];
} box_t;

/* copies the box that starts at in[in_first] to out[out_first] */
static void copy_box(const box_t *box, const int8_t *in, int32_t in_first, int8_t *out, int32_t out_first)
{
    int32_t i, j, k;
    for (i = 0; i < box->size[0]; i++)
        for (j = 0; j < box->size[1]; j++)
            for (k = 0; k < box->size[2]; k++)
                memcpy(out + out_first + i * box->out_stride[0] + j * box->out_stride[1] + k * box->out_stride[2],
                       in + in_first + i * box->in_stride[0] + j * box->in_stride[1] + k * box->in_stride[2],
                       (size_t)box->size[3]);
}
