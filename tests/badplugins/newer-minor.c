/* Built for a newer minor version than this core's. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR + 1,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = sizeof(ops),
                                 .name = "newer-minor",
                                 .summary = "a plugin that is wrong",
                                 .ops = &ops};
BAD_ENTRY
