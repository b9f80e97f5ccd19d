/* record.c: the sizes and names of events, and the check of a record that came from another process.
 *
 * Knows the shape of records, not their meaning.  Holds no state.
 */
#include "control/record.h"

#include <string.h>

#include "base/log.h"

size_t mr_event_size(uint32_t kind)
{
    static const uint16_t sizes[MR_EV_COUNT] = {
#define MR_EVENT_SIZE(name, type) [MR_EV_##name] = sizeof(type),
        MR_EVENT_MAP(MR_EVENT_SIZE)
#undef MR_EVENT_SIZE
    };
    return kind < MR_EV_COUNT ? sizes[kind] : 0;
}

const char *mr_event_name(uint32_t kind)
{
    static const char *const names[MR_EV_COUNT] = {
#define MR_EVENT_NAME(name, type) [MR_EV_##name] = #name,
        MR_EVENT_MAP(MR_EVENT_NAME)
#undef MR_EVENT_NAME
    };
    return kind < MR_EV_COUNT && names[kind] ? names[kind] : "?";
}

static bool ended(const char *text, size_t n)
{
    return memchr(text, 0, n) != NULL;
}

static mr_status check_names(const mr_record *r, const mr_named *v, uint32_t n, mr_err *err)
{
    for (uint32_t i = 0; i < n; i++)
        if (!ended(v[i].name, sizeof v[i].name))
            return mr_err_set(err, MR_E_PROTOCOL, "%s from client %u: the name of resource %u has no end",
                              mr_event_name(r->kind), r->from, i);
    return MR_OK;
}

static mr_status check_define(const mr_record *r, mr_err *err)
{
    const mr_define *d = (const void *)r;
    uint64_t named = (uint64_t)d->n_needs + d->n_living;
    uint64_t bytes =
        named * sizeof(mr_named) + (uint64_t)d->n_labels * sizeof(mr_label) + (uint64_t)d->n_terms * sizeof(mr_term);
    if (d->n_needs > MR_RES_MAX || d->n_living > MR_RES_MAX || d->n_labels > 4096 || d->n_terms > 4096 ||
        bytes > r->n_bytes)
        return mr_err_set(err, MR_E_PROTOCOL,
                          "DEFINE from client %u: %u needs, %u living, %u labels and %u terms do not fit in %u bytes",
                          r->from, d->n_needs, d->n_living, d->n_labels, d->n_terms, r->n_bytes);
    if (!ended(d->name, sizeof d->name) || !ended(d->entry, sizeof d->entry) || !ended(d->user, sizeof d->user))
        return mr_err_set(err, MR_E_PROTOCOL, "DEFINE from client %u: a text has no end", r->from);
    const mr_named *v = mr_record_bytes(r, sizeof *d);
    return check_names(r, v, (uint32_t)named, err);
}

static mr_status check_submit(const mr_record *r, mr_err *err)
{
    const mr_ev_submit *e = (const void *)r;
    if ((uint64_t)e->n_deps + e->n_refs != r->n_ids)
        return mr_err_set(err, MR_E_PROTOCOL, "SUBMIT from client %u: %u arguments and %u references, but %u ids",
                          r->from, e->n_deps, e->n_refs, r->n_ids);
    if (e->name_bytes > r->n_bytes)
        return mr_err_set(err, MR_E_PROTOCOL, "SUBMIT from client %u: a name of %u bytes in a payload of %u", r->from,
                          e->name_bytes, r->n_bytes);
    return MR_OK;
}

static mr_status check_group(const mr_record *r, mr_err *err)
{
    const mr_ev_group *e = (const void *)r;
    uint64_t fixed = (uint64_t)e->n_amounts * sizeof(mr_named) + (uint64_t)e->n_terms * sizeof(mr_term);
    if (fixed + e->name_bytes > r->n_bytes || e->n_bundles > e->n_amounts)
        return mr_err_set(
            err, MR_E_PROTOCOL,
            "GROUP from client %u: %u amounts in %u bundles, %u terms and a name of %u bytes do not fit in %u bytes",
            r->from, e->n_amounts, e->n_bundles, e->n_terms, e->name_bytes, r->n_bytes);
    return check_names(r, mr_record_bytes(r, sizeof *e), e->n_amounts, err);
}

static mr_status check_node(const mr_record *r, mr_err *err)
{
    const mr_ev_node *e = (const void *)r;
    if (e->n_amounts > MR_RES_MAX || e->n_labels > 4096 ||
        (uint64_t)e->n_amounts * sizeof(mr_named) + (uint64_t)e->n_labels * sizeof(mr_label) > r->n_bytes)
        return mr_err_set(err, MR_E_PROTOCOL, "NODE_ADDED: %u amounts and %u labels do not fit in %u bytes",
                          e->n_amounts, e->n_labels, r->n_bytes);
    if (!ended(e->name, sizeof e->name))
        return mr_err_set(err, MR_E_PROTOCOL, "NODE_ADDED: the name has no end");
    return check_names(r, mr_record_bytes(r, sizeof *e), e->n_amounts, err);
}

mr_status mr_record_check(const mr_record *r, size_t available, mr_err *err)
{
    if (available < sizeof *r)
        return mr_err_set(err, MR_E_PROTOCOL, "a record of %zu bytes is shorter than its header", available);
    if (r->version != MR_RECORD_VERSION)
        return mr_err_set(err, MR_E_PROTOCOL, "record of version %u from client %u; this is version %d", r->version,
                          r->from, MR_RECORD_VERSION);
    size_t body = mr_event_size(r->kind);
    if (!body)
        return mr_err_set(err, MR_E_PROTOCOL, "record of unknown kind %u from client %u", r->kind, r->from);
    if (r->size > available || r->size % 8)
        return mr_err_set(err, MR_E_PROTOCOL, "%s from client %u: size %u, but %zu bytes are there",
                          mr_event_name(r->kind), r->from, r->size, available);
    /* In 64 bits: counts from another process may be anything. */
    if ((uint64_t)body + sizeof(mr_id) * (uint64_t)r->n_ids + r->n_bytes > r->size)
        return mr_err_set(err, MR_E_PROTOCOL, "%s from client %u: %u ids and %u bytes do not fit in %u",
                          mr_event_name(r->kind), r->from, r->n_ids, r->n_bytes, r->size);
    switch (r->kind) {
    case MR_EV_DEFINE:
        return check_define(r, err);
    case MR_EV_SUBMIT:
        return check_submit(r, err);
    case MR_EV_NODE_ADDED:
        return check_node(r, err);
    case MR_EV_GROUP:
        return check_group(r, err);
    case MR_EV_REFS:
        if (((const mr_ev_refs *)(const void *)r)->n_add > r->n_ids)
            return mr_err_set(err, MR_E_PROTOCOL, "REFS from client %u: %u to add, but %u ids", r->from,
                              ((const mr_ev_refs *)(const void *)r)->n_add, r->n_ids);
        return MR_OK;
    case MR_EV_BLOCKED:
        if (((const mr_ev_blocked *)(const void *)r)->need > r->n_ids)
            return mr_err_set(err, MR_E_PROTOCOL, "BLOCKED from client %u: waits for %u of %u ids", r->from,
                              ((const mr_ev_blocked *)(const void *)r)->need, r->n_ids);
        return MR_OK;
    default:
        return MR_OK;
    }
}
