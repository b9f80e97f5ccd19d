/* machine.h: what this machine, or the container around this process, lets us use.
 *
 * Read from the system at each call (some ten small files); nothing is kept.  `root` is put in front of /proc and /sys:
 * "" in life, a folder in tests.  Thread: any.
 */
#ifndef MR_BASE_MACHINE_H
#define MR_BASE_MACHINE_H

#include <stdint.h>

/* CPUs that this process may run on, bounded by the quota of its control groups (rounded up); at least 1. */
int mr_machine_cpus(void);

/* Bytes of memory: the machine's, or the smallest limit of this process's control groups if that is less. */
uint64_t mr_machine_memory(const char *root);

/* Bytes that can still be taken before the kernel starts to kill: MemAvailable, bounded by limit - use + file cache of
 * every control group above this process. */
uint64_t mr_machine_available(const char *root);

#endif
