/* A window that slides over an image: sizes in pixels, channels last.
 * Of the output pixel (y, x), tap (ky, kx) looks at the input pixel
 *     (y * stride_y + ky * dilation_y - top, x * stride_x + kx * dilation_x - left)
 * and sees zero_point where that lies outside. Results are moved by out_zero and clipped to [low, high]. */
typedef struct {
    int32_t height, width, channels;
    int32_t out_height, out_width, out_channels;
    int32_t taps_y, taps_x;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t top, left;
    int32_t zero_point, out_zero, low, high;
} window_t;
