/* crooked.h: store-mem with one op replaced by a wrong one, to show that the conformance suite notices. */
#ifndef CROOKED_H
#define CROOKED_H

#include <miniray/plugin.h>
#undef MR_PLUGIN
#define MR_PLUGIN(...) _Static_assert(1, "store-mem's own entry is left out");
#include "../../plugins/store-mem/store_mem.c"

/* `op_` is the replaced op, `fn_` the wrong one. */
#define CROOKED(name_, op_, fn_)                                                                                       \
    MR_EXPORT const mr_plugin *mr_plugin_entry(void);                                                                  \
    const mr_plugin *mr_plugin_entry(void)                                                                             \
    {                                                                                                                  \
        static mr_store_ops mine;                                                                                      \
        static const mr_plugin plugin = {.magic = MR_PLUGIN_MAGIC,                                                     \
                                         .abi_major = MR_ABI_MAJOR,                                                    \
                                         .abi_minor = MR_ABI_MINOR,                                                    \
                                         .kind = MR_KIND_STORE,                                                        \
                                         .ops_size = sizeof(mine),                                                     \
                                         .name = (name_),                                                              \
                                         .summary = "a store with one wrong op",                                       \
                                         .ops = &mine};                                                                \
        mine = ops;                                                                                                    \
        mine.op_ = (fn_);                                                                                              \
        return &plugin;                                                                                                \
    }

#endif
