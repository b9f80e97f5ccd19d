/* machine.h: what this machine, or the container around this process, lets us use.
 *
 * Read from the system at each call; nothing is kept.  Thread: any.
 */
#ifndef MR_BASE_MACHINE_H
#define MR_BASE_MACHINE_H

#include <stdint.h>

/* CPUs that this process may run on, bounded by the quota of its control groups (rounded up); at least 1. */
int mr_machine_cpus(void);

/* Bytes of memory: the machine's, or the smallest limit of this process's control groups if that is less. */
uint64_t mr_machine_memory(void);

/* Bytes that can still be taken: MemAvailable, bounded by (limit - use) of every control group above this process. */
uint64_t mr_machine_available(void);

#endif
