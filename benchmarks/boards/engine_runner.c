/* Runs generated C of the name `net` on every sample of input.bin, on the host through semihosting; writes output.bin.
 * Prints lines of `value key`: instructions for each sample; bytes of the arena, and of the stack below main's; and the
 * instructions of every step of the last sample, where the generated C calls counted_step. */
#include <stdio.h>
#include <stdlib.h>

#include "counter.h"
#include "net.h"

#define STACK_BYTES 4096 /* watched; more is not told */
#define PAINT 0xA5u

static uint32_t arena[(NET_ARENA_BYTES + 3) / 4];
static int8_t input[NET_INPUT_BYTES], output[NET_OUTPUT_BYTES];
static net_t net;

#define STEPS 256
static const char *notes[STEPS];
static uint64_t begun[STEPS + 1];
static int steps;

/* Called in front of every step of net_run. */
void counted_step(const char *note);
void counted_step(const char *note) {
  if (steps == STEPS) abort();
  notes[steps] = note;
  begun[steps++] = counter_read();
}

static FILE *opened(const char *path, const char *mode) {
  FILE *file = fopen(path, mode);
  if (file == NULL) abort();
  return file;
}

/* Where the stack ends now. Volatile: what lies below is nobody's, and the compiler must not reason about it. */
static volatile uint8_t *stack_end(void) { return (volatile uint8_t *)__builtin_frame_address(0); }

__attribute__((noinline)) static void paint_stack(volatile uint8_t *end) {
  for (int byte = 64; byte < STACK_BYTES; byte++) end[-byte] = PAINT; /* 64: this function's own */
}

__attribute__((noinline)) static int painted_over(volatile uint8_t *end) {
  int byte = STACK_BYTES - 1;
  while (byte > 64 && end[-byte] == PAINT) byte--;
  return byte;
}

int main(void) {
  FILE *inputs = opened("input.bin", "rb"), *outputs = opened("output.bin", "wb");
  volatile uint8_t *end = stack_end();
  int stack = 0;
  counter_start();
  net_init(&net, (uint8_t *)arena);
  while (fread(input, 1, sizeof input, inputs) == sizeof input) {
    paint_stack(end);
    steps = 0;
    const uint64_t start = counter_read();
    net_run(&net, input, output);
    begun[steps] = counter_read();
    const uint64_t taken = begun[steps] - start;
    stack = painted_over(end);
    printf("%lu instructions\n", (unsigned long)taken);
    fwrite(output, 1, sizeof output, outputs);
  }
  printf("%d arena\n%d stack\n", NET_ARENA_BYTES, stack);
  for (int step = 0; step < steps; step++) {
    printf("%lu step %s\n", (unsigned long)(begun[step + 1] - begun[step]), notes[step]);
  }
  fclose(outputs);
  return 0;
}
