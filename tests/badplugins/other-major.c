/* Built for another major version of the ABI. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = 7,
                                 .abi_minor = 3,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = sizeof(ops),
                                 .name = "other-major",
                                 .summary = "a plugin that is wrong",
                                 .ops = &ops};
BAD_ENTRY
