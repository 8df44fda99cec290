/* The counter of a RISC-V: its own. Picolibc brings the start and the memory. */
#include "counter.h"

static uint64_t first;

static uint64_t executed(void) {
  uint32_t high, low, again;
  do {
    __asm__ volatile(".option arch, +zicsr\n csrr %0, minstreth\n csrr %1, minstret\n csrr %2, minstreth" : "=r"(high), "=r"(low), "=r"(again));
  } while (high != again);
  return (uint64_t)high << 32 | low;
}

void counter_start(void) { first = executed(); }

uint64_t counter_read(void) { return executed() - first; }
