/* A larger op table than this minor has. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = sizeof(ops) + 64,
                                 .name = "large-ops",
                                 .summary = "a plugin that is wrong",
                                 .ops = &ops};
BAD_ENTRY
