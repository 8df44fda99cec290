#include <string.h>

#include "copy_box.c"

/* out = in with `value` around it; box: where in lies in out, `first` bytes from its start */
static void pad(const box_t *box, const int8_t *in, int8_t value, int32_t size, int32_t first,
                int8_t *out)
{
    memset(out, value, (size_t)size);
    copy_box(box, in, 0, out, first);
}
