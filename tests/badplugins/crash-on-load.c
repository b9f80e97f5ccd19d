/* Ends the process that loads it. */
#include "bad.h"

#include <stdlib.h>

__attribute__((constructor)) static void crash(void)
{
    abort();
}

BAD_STORE_OPS;
MR_PLUGIN(MR_KIND_STORE, "crash-on-load", "a plugin that is wrong", ops, NULL, 0)
