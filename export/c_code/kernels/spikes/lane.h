/* Which 16-bit number of an array of words holds the sum of a channel. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LANE(channel) ((channel) ^ 1)
#else
#define LANE(channel) (channel)
#endif
