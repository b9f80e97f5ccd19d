/* Does not say what it does. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = sizeof(ops),
                                 .name = "no-summary",
                                 .summary = NULL,
                                 .ops = &ops};
BAD_ENTRY
