/* Neither a store nor a scheduler. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR,
                                 .kind = 9,
                                 .ops_size = sizeof(ops),
                                 .name = "unknown-kind",
                                 .summary = "a plugin that is wrong",
                                 .ops = &ops};
BAD_ENTRY
