/* Right: an op table that ends before the optional ops, as an older minor's would. */
#include "bad.h"

enum { MANDATORY_ONLY = offsetof(mr_store_ops, populate) };

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = MANDATORY_ONLY,
                                 .name = "short-ops",
                                 .summary = "a plugin with an older op table",
                                 .ops = &ops};
BAD_ENTRY
