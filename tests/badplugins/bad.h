/* bad.h: a store that does nothing, for plugins that are wrong before any op is called. */
#ifndef BAD_H
#define BAD_H

#include <miniray/plugin.h>
#include <miniray/sched.h>
#include <miniray/store.h>

static inline mr_status bad_open(void **self, const mr_host *h, const mr_store_conf *conf, mr_err *err)
{
    (void)h, (void)conf, (void)err;
    *self = self;
    return MR_OK;
}

static inline void bad_close(void *self)
{
    (void)self;
}

static inline mr_status bad_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    (void)self, (void)id, (void)len, (void)out;
    return MR_E_FULL;
}

static inline mr_status bad_id(void *self, mr_id id)
{
    (void)self, (void)id;
    return MR_E_NOTFOUND;
}

static inline mr_status bad_get(void *self, mr_id id, mr_region *out)
{
    (void)self, (void)id, (void)out;
    return MR_E_NOTFOUND;
}

#define BAD_MANDATORY                                                                                                  \
    .open = bad_open, .close = bad_close, .create = bad_create, .seal = bad_id, .abort = bad_id, .get = bad_get,       \
    .release = bad_id, .remove = bad_id
#define BAD_STORE_OPS static const mr_store_ops ops = {BAD_MANDATORY}

/* A right handshake for a store called `name_`, of which the file then changes what it is about. */
#define BAD_FIELDS(name_)                                                                                              \
    .magic = MR_PLUGIN_MAGIC, .abi_major = MR_ABI_MAJOR, .abi_minor = MR_ABI_MINOR, .kind = MR_KIND_STORE,             \
    .ops_size = sizeof(ops), .name = (name_), .summary = "a plugin that is wrong", .ops = &ops
#define BAD_ENTRY                                                                                                      \
    MR_EXPORT const mr_plugin *mr_plugin_entry(void);                                                                  \
    const mr_plugin *mr_plugin_entry(void)                                                                             \
    {                                                                                                                  \
        return &plugin;                                                                                                \
    }

#endif
