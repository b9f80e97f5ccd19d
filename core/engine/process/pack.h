/* pack.h: one piece of bytes, smaller.  Owns nothing, keeps nothing; any thread. */
#ifndef MR_ENGINE_PROCESS_PACK_H
#define MR_ENGINE_PROCESS_PACK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mr_packer {
    const char *name; /* as in [store] spill_compress */
    /* The most bytes that pack makes of `len`. */
    size_t (*bound)(size_t len);
    /* Bytes made; 0: it could not. */
    size_t (*pack)(void *to, size_t room, const void *from, size_t len);
    /* False: `from` is not what pack made of `len` bytes.  Never reads or writes outside, whatever it is given. */
    bool (*unpack)(void *to, size_t len, const void *from, size_t packed);
} mr_packer;

/* NULL: there is none of this name ("none" is one too). */
const mr_packer *mr_packer_find(const char *name);

#endif
