/* Has no op table. */
#include "bad.h"

static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = sizeof(mr_store_ops),
                                 .name = "ops-null",
                                 .summary = "a plugin that is wrong"};
BAD_ENTRY
