/* Runs generated C of the name `net` on every sample of input.bin, on the host through semihosting; writes output.bin.
 * Prints a line `instructions N` for each sample. */
#include <stdio.h>
#include <stdlib.h>

#include "counter.h"
#include "net.h"

static uint32_t arena[(NET_ARENA_BYTES + 3) / 4];
static int8_t input[NET_INPUT_BYTES], output[NET_OUTPUT_BYTES];
static net_t net;

static FILE *opened(const char *path, const char *mode) {
  FILE *file = fopen(path, mode);
  if (file == NULL) abort();
  return file;
}

int main(void) {
  FILE *inputs = opened("input.bin", "rb"), *outputs = opened("output.bin", "wb");
  counter_start();
  net_init(&net, (uint8_t *)arena);
  while (fread(input, 1, sizeof input, inputs) == sizeof input) {
    const uint64_t start = counter_read();
    net_run(&net, input, output);
    printf("instructions %lu\n", (unsigned long)(counter_read() - start));
    fwrite(output, 1, sizeof output, outputs);
  }
  fclose(outputs);
  return 0;
}
