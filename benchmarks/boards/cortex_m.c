/* Start of a Cortex-M: vector table, memory, C library with semihosting, main; and SysTick as counter of instructions.
 *
 * PICOSECONDS_PER_TICK, from the compiler's command line: of the processor's clock, which drives SysTick.
 */
#include <stdint.h>
#include <stdlib.h>

#include "counter.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define COPROCESSOR_ACCESS REGISTER(0xE000ED88u)
#define INTERRUPT_STATE REGISTER(0xE000ED04u)
#define SYSTICK_PENDING (1u << 26)
#define FLOATING_POINT_AND_VECTORS (0xFu << 20)
#define ON_WITH_INTERRUPT_FROM_CPU_CLOCK 7u
#define LONGEST 0xFFFFFFu /* SysTick counts 24 bits down */

extern uint32_t __stack[], __bss_start[], __bss_end[], __data_start[], __data_end[], __data_source[];
extern void initialise_monitor_handles(void); /* of librdimon: opens standard output on the host */
extern void __libc_init_array(void);
int main(void);

static volatile uint64_t finished_rounds;

void _init(void) {} /* called by __libc_init_array; the start files that have it are not linked */

static void count_round(void) { finished_rounds++; }

static void fault(void) { _Exit(EXIT_FAILURE); }

static void start(void) {
#if defined(__ARM_FP)
  COPROCESSOR_ACCESS |= FLOATING_POINT_AND_VECTORS;
#endif
  uint32_t *source = __data_source;
  for (uint32_t *word = __data_start; word < __data_end; word++) *word = *source++;
  for (uint32_t *word = __bss_start; word < __bss_end; word++) *word = 0;
  __libc_init_array();
  initialise_monitor_handles();
  exit(main());
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))__stack, start, fault, fault, fault, fault, fault, fault,
    fault, fault, fault, fault, fault, fault, fault, count_round,
};

void counter_start(void) {
  finished_rounds = 0;
  SYSTICK_RELOAD = LONGEST;
  SYSTICK_VALUE = 0; /* any write sets it to 0: the next tick loads LONGEST */
  SYSTICK_CONTROL = ON_WITH_INTERRUPT_FROM_CPU_CLOCK;
  while (SYSTICK_VALUE == 0) {
  }
}

uint64_t counter_read(void) {
  uint64_t rounds;
  uint32_t value;
  do {
    rounds = finished_rounds;
    value = SYSTICK_VALUE;
  } while (rounds != finished_rounds || (INTERRUPT_STATE & SYSTICK_PENDING));
  return (rounds * (LONGEST + 1u) + (LONGEST - value)) * PICOSECONDS_PER_TICK / 1000u;
}
