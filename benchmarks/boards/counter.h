/* Instructions executed by an emulated processor: QEMU's -icount shift=0 makes one instruction one nanosecond. */
#ifndef COUNTER_H
#define COUNTER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void counter_start(void);

/* Instructions since counter_start. On Cortex-M in steps of one tick of SysTick, 31 to 63 instructions. */
uint64_t counter_read(void);

#ifdef __cplusplus
}
#endif

#endif
