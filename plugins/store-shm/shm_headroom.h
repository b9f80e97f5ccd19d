/* shm_headroom.h: how much more memory this process may take before the kernel starts to kill.  Thread: any. */
#ifndef SHM_HEADROOM_H
#define SHM_HEADROOM_H

#include <stdint.h>

/* The least of MemAvailable and of limit - usage + inactive file cache of this process' memory cgroup and all its
 * ancestors (version 2, or 1); UINT64_MAX when nothing can be read.  `root` is put in front of /proc and /sys ("" in
 * life; tests give a folder). */
uint64_t shm_headroom(const char *root);

#endif
