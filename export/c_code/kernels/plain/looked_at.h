/* the row or column that a tap looks at, or -1; taken from rows or columns of `size` */
static int32_t looked_at(int32_t transposed, int32_t size, int32_t position, int32_t tap, int32_t stride,
                         int32_t dilation, int32_t before)
{
    int32_t at = position * stride + tap * dilation - before;
    if (transposed) {
        int32_t moved = position + before - tap;
        at = moved < 0 || moved % stride != 0 ? -1 : moved / stride;
    }
    return at < size ? at : -1;
}
