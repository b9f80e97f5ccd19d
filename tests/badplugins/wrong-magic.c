/* Another project's plugin that happens to have the same symbol. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_plugin plugin = {.magic = 0x12345678,
                                 .abi_major = MR_ABI_MAJOR,
                                 .abi_minor = MR_ABI_MINOR,
                                 .kind = MR_KIND_STORE,
                                 .ops_size = sizeof(ops),
                                 .name = "wrong-magic",
                                 .summary = "a plugin that is wrong",
                                 .ops = &ops};
BAD_ENTRY
