/* plugin.h: the handshake between miniray and a plugin (.so).
 *
 * A plugin is built with hidden visibility and exports one function, which MR_PLUGIN defines:
 *
 *     static const mr_sched_ops ops = { 0 };
 *     MR_PLUGIN(MR_KIND_SCHED, "sched-fifo", "first in, first out", ops, NULL, 0)
 *
 * Everything it points to is static const data that lives as long as the file is loaded; the core copies min(ops_size,
 * sizeof own table) into a zeroed table of its own, so an older minor's missing tail is NULL, which means default.
 *
 * What the loader checks, in this order, each with a message of its own: the file is an ELF library that only this user
 * or root can change, and so is its folder; it loads with every symbol resolved; it has the entry; magic, major, minor,
 * kind; the name is the file's; the keys are named, typed, explained, and their defaults parse; the op table is not
 * larger than the core's and has every mandatory op.  A plugin that was asked for and does not load stops the start.
 */
#ifndef MINIRAY_PLUGIN_H
#define MINIRAY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include <miniray/host.h>
#include <miniray/status.h>

#define MR_PLUGIN_MAGIC UINT32_C(0x4d525047) /* "MRPG" */
#define MR_ABI_MAJOR 1                       /* other major: refused */
#define MR_ABI_MINOR 1                       /* newer minor than the core's: refused; older: fine */
#define MR_PLUGIN_SYMBOL "mr_plugin_entry"

typedef enum mr_plugin_kind { MR_KIND_STORE = 1, MR_KIND_SCHED = 2 } mr_plugin_kind;

typedef enum mr_conf_type {
    MR_CONF_TEXT,
    MR_CONF_INT,
    MR_CONF_DOUBLE,
    MR_CONF_BOOL,     /* true/false, yes/no, on/off, 1/0 */
    MR_CONF_BYTES,    /* 4096, 64K, 2M, 1G, 1.5G: powers of 1024 */
    MR_CONF_DURATION, /* 10ns, 10us, 10ms, 2s, 1m, 1h; in ns */
    MR_CONF_PATH      /* relative to the file that names it */
} mr_conf_type;

/* One key of the plugin's section.  A key named "*" means: any other key is accepted too (as text). */
typedef struct mr_conf_key {
    const char *name;
    mr_conf_type type;
    const char *otherwise; /* default as it would be written in the file; NULL: none */
    const char *help;      /* one line, for `miniray plugins describe` */
} mr_conf_key;

typedef struct mr_plugin {
    uint32_t magic;
    uint16_t abi_major, abi_minor;
    uint32_t kind;     /* mr_plugin_kind */
    uint32_t ops_size; /* sizeof the op table the plugin was built with */
    const char *name;  /* "sched-fifo": the file is sched-fifo.so or libsched-fifo.so */
    const char *summary;
    const mr_conf_key *keys;
    uint32_t n_keys;
    const void *ops; /* mr_store_ops or mr_sched_ops */
} mr_plugin;

typedef const mr_plugin *(*mr_plugin_entry_fn)(void);

#if defined(__GNUC__)
#define MR_EXPORT __attribute__((visibility("default")))
#else
#define MR_EXPORT
#endif

/* Defines the entry.  `ops_` is the op table itself (not a pointer to it); `keys_` may be NULL with 0. */
#define MR_PLUGIN(kind_, name_, summary_, ops_, keys_, n_keys_)                                                        \
    MR_EXPORT const mr_plugin *mr_plugin_entry(void);                                                                  \
    const mr_plugin *mr_plugin_entry(void)                                                                             \
    {                                                                                                                  \
        static const mr_plugin plugin = {MR_PLUGIN_MAGIC, MR_ABI_MAJOR, MR_ABI_MINOR, (kind_),   sizeof(ops_),         \
                                         (name_),         (summary_),   (keys_),      (n_keys_), &(ops_)};             \
        return &plugin;                                                                                                \
    }

#endif
