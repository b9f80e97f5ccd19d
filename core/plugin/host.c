/* host.c: owns the table of services that one instance of a plugin is given, and counts what it allocates.
 *
 * It does not know stores from schedulers.  The byte count is atomic and the first failure is claimed by a
 * compare-and-swap, because a store's populate may run in any thread beside its other ops; there is no lock.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/handshake.h"
#include "plugin/loader.h"

enum { FAIL_NONE, FAIL_WRITING, FAIL_KEPT };

struct mr_host_box {
    mr_host host; /* first: the table's ctx is this box */
    const mr_plugin *plugin;
    const mr_config *config;
    int64_t (*now)(void *arg);
    void *now_arg;
    char section[80];
    char *key, *value; /* what this instance is told in place of the section; NULL: nothing */
    void (*on_fail)(void *arg, const char *text);
    void *on_fail_arg;
    void (*on_work)(void *arg, uint64_t units);
    void *on_work_arg;
    atomic_uint_least64_t bytes;
    atomic_int failed; /* FAIL_* */
    char failure[512];
};

/* In front of each block, so that free can count; 16 bytes keep the block's alignment. */
typedef union block {
    size_t size;
    max_align_t align;
} block;

static mr_host_box *box_of(const mr_host *h)
{
    return h->ctx;
}

/* The last error that a plugin told in this thread, until somebody asks. */
static _Thread_local struct {
    const mr_host_box *by;
    char text[512];
} said;

static void host_log(const mr_host *h, mr_log_level level, const char *fmt, ...) MR_PRINTF(3, 4);
static void host_log(const mr_host *h, mr_log_level level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mr_logv(level, h->name, fmt, args);
    va_end(args);
    if (level != MR_LOG_ERROR)
        return;
    va_start(args, fmt);
    said.by = box_of(h);
    vsnprintf(said.text, sizeof(said.text), fmt, args);
    va_end(args);
}

void mr_host_said(const mr_host_box *b, char *text, size_t size)
{
    snprintf(text, size, "%s", said.by == b ? said.text : "");
    said.by = NULL;
}

static int64_t host_now(const mr_host *h)
{
    const mr_host_box *b = box_of(h);
    return b->now ? b->now(b->now_arg) : 0;
}

static const mr_conf_key *declared(const mr_host_box *b, const char *key)
{
    for (uint32_t i = 0; i < b->plugin->n_keys; i++)
        if (strcmp(b->plugin->keys[i].name, key) == 0)
            return &b->plugin->keys[i];
    return NULL;
}

static const mr_setting *setting(const mr_host_box *b, const char *key)
{
    const mr_setting *s;
    for (size_t i = 0; b->config && (s = mr_config_at(b->config, i)); i++)
        if (strcmp(s->section, b->section) == 0 && strcmp(s->key, key) == 0)
            return s;
    return NULL;
}

static const char *host_conf(const mr_host *h, const char *key)
{
    const mr_host_box *b = box_of(h);
    const mr_setting *s = setting(b, key);
    const mr_conf_key *k = declared(b, key);
    if (b->key && strcmp(b->key, key) == 0)
        return b->value;
    if (s && s->value)
        return s->value;
    return k ? k->otherwise : NULL;
}

/* A key under "*" has no declared type: it is read as the type the plugin asks for. */
static bool host_parse(const mr_host *h, const char *key, mr_conf_type undeclared, int64_t *whole, double *number)
{
    const mr_host_box *b = box_of(h);
    const mr_conf_key *k = declared(b, key);
    const char *text = host_conf(h, key);
    mr_err err;
    *whole = 0;
    *number = 0;
    if (!text)
        return false;
    if (!mr_config_parse(k ? k->type : undeclared, text, whole, number, &err))
        return true;
    mr_log(MR_LOG_ERROR, h->name, "[%s] %s: %s", b->section, key, err.text);
    return false;
}

static int64_t host_conf_int(const mr_host *h, const char *key, int64_t otherwise)
{
    int64_t whole;
    double number;
    return host_parse(h, key, MR_CONF_INT, &whole, &number) ? whole : otherwise;
}

static double host_conf_double(const mr_host *h, const char *key, double otherwise)
{
    const mr_conf_key *k = declared(box_of(h), key);
    int64_t whole;
    double number;
    if (!host_parse(h, key, MR_CONF_DOUBLE, &whole, &number))
        return otherwise;
    return k && k->type != MR_CONF_DOUBLE ? (double)whole : number;
}

static const char *host_conf_key(const mr_host *h, size_t i)
{
    const mr_host_box *b = box_of(h);
    const mr_setting *s;
    for (size_t at = 0; b->config && (s = mr_config_at(b->config, at)); at++)
        if (strcmp(s->section, b->section) == 0 && s->source != MR_FROM_DEFAULT && i-- == 0)
            return s->key;
    return NULL;
}

static void *host_alloc(const mr_host *h, size_t size)
{
    block *p = size <= SIZE_MAX - sizeof(block) ? calloc(1, sizeof(block) + size) : NULL;
    if (!p)
        return NULL;
    p->size = size;
    atomic_fetch_add_explicit(&box_of(h)->bytes, size, memory_order_relaxed);
    return p + 1;
}

static void host_free(const mr_host *h, void *memory)
{
    block *p = memory;
    if (!p)
        return;
    p--;
    atomic_fetch_sub_explicit(&box_of(h)->bytes, p->size, memory_order_relaxed);
    free(p);
}

static void host_fail(const mr_host *h, const char *fmt, ...) MR_PRINTF(2, 3);
static void host_fail(const mr_host *h, const char *fmt, ...)
{
    mr_host_box *b = box_of(h);
    int none = FAIL_NONE;
    va_list args;
    if (!atomic_compare_exchange_strong(&b->failed, &none, FAIL_WRITING))
        return;
    va_start(args, fmt);
    vsnprintf(b->failure, sizeof(b->failure), fmt, args);
    va_end(args);
    atomic_store(&b->failed, FAIL_KEPT);
    if (b->on_fail)
        b->on_fail(b->on_fail_arg, b->failure);
}

/* Config keeps a plugin's section under its short name: [store.shm] and [store.store-shm] are one. */
static void name_section(mr_host_box *b, const mr_plugin *p)
{
    const char *kind = mr_plugin_kind_name(p->kind), *name = p->name;
    size_t n = strlen(kind);
    if (strncmp(name, kind, n) == 0 && name[n] == '-' && name[n + 1])
        name += n + 1;
    snprintf(b->section, sizeof(b->section), "%s.%s", kind, name);
}

mr_status mr_host_new(mr_host_box **out, const mr_plugin *p, const mr_config *c, int64_t (*now)(void *arg), void *arg)
{
    mr_host_box *b = calloc(1, sizeof(*b));
    if (!b)
        return MR_E_NOMEM;
    b->host = (mr_host){.size = sizeof(mr_host),
                        .name = p->name,
                        .ctx = b,
                        .log = host_log,
                        .now = host_now,
                        .conf = host_conf,
                        .conf_int = host_conf_int,
                        .conf_double = host_conf_double,
                        .conf_key = host_conf_key,
                        .alloc = host_alloc,
                        .free = host_free,
                        .fail = host_fail};
    b->plugin = p;
    b->config = c;
    b->now = now;
    b->now_arg = arg;
    name_section(b, p);
    *out = b;
    return MR_OK;
}

mr_status mr_host_say(mr_host_box *b, const char *key, const char *value)
{
    char *k = strdup(key), *v = strdup(value);
    if (!k || !v) {
        free(k);
        free(v);
        return MR_E_NOMEM;
    }
    free(b->key);
    free(b->value);
    b->key = k;
    b->value = v;
    return MR_OK;
}

void mr_host_free(mr_host_box *b)
{
    if (!b)
        return;
    free(b->key);
    free(b->value);
    if (mr_host_bytes(b))
        mr_log(MR_LOG_WARN, b->plugin->name, "did not give back %llu bytes when it was closed",
               (unsigned long long)mr_host_bytes(b));
    free(b);
}

const mr_host *mr_host_table(mr_host_box *b)
{
    return &b->host;
}

static void host_work(const mr_host *h, uint64_t units)
{
    const mr_host_box *b = box_of(h);
    b->on_work(b->on_work_arg, units);
}

void mr_host_on_work(mr_host_box *b, void (*fn)(void *arg, uint64_t units), void *arg)
{
    b->on_work = fn;
    b->on_work_arg = arg;
    b->host.work = host_work;
}

void mr_host_on_fail(mr_host_box *b, void (*fn)(void *arg, const char *text), void *arg)
{
    b->on_fail = fn;
    b->on_fail_arg = arg;
}

const char *mr_host_failure(const mr_host_box *b)
{
    return atomic_load(&b->failed) == FAIL_KEPT ? b->failure : NULL;
}

uint64_t mr_host_bytes(const mr_host_box *b)
{
    return atomic_load_explicit(&b->bytes, memory_order_relaxed);
}

void mr_policy_name(const mr_plugin *plugin, const char *file, char *out, size_t n)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    snprintf(out, n, "%s", slash ? slash + 1 : file ? file : plugin->name);
    char *dot = file ? strrchr(out, '.') : NULL;
    if (dot && dot != out)
        *dot = '\0';
}
