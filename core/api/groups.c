/* groups.c: making, removing and finding placement groups: one request to the node each.  Owns nothing; no lock. */
#include <stdlib.h>
#include <string.h>

#include "api/session.h"

static mr_status ask(mr_session *s, mr_scratch *b, mr_ev_group *r, mr_id *out, mr_err *err)
{
    mr_answer a;
    mr_status st = mr_session_call(s, &r->h, &a, err);
    mr_scratch_free(b);
    if (st)
        return st;
    free(a.text);
    if (out)
        *out = a.value;
    return MR_OK;
}

static char *put_name(char *at, const char *name, const char *ns)
{
    size_t ns_len = ns ? strlen(ns) : 0, len = strlen(name);
    if (ns_len)
        memcpy(at, ns, ns_len);
    at[ns_len] = '\0';
    memcpy(at + ns_len + 1, name, len + 1);
    return at + ns_len + 1 + len + 1;
}

static size_t name_bytes(const char *name, const char *ns)
{
    return name && name[0] ? (ns ? strlen(ns) : 0) + 1 + strlen(name) + 1 : 0;
}

static mr_status check(const mr_group_def *d, uint32_t *n_bundles, mr_err *err)
{
    *n_bundles = 0;
    if (d->strategy < MR_PACK || d->strategy > MR_STRICT_SPREAD)
        return mr_err_set(err, MR_E_INVAL, "placement group: no strategy %d", d->strategy);
    for (int32_t i = 0; i < d->n_needs; i++) {
        const mr_need *v = &d->needs[i];
        *n_bundles += !v->name;
        if (v->name && (!v->name[0] || strlen(v->name) >= sizeof(((mr_named *)0)->name) || v->amount < 0))
            return mr_err_set(err, MR_E_INVAL, "placement group: resource \"%.80s\" = %lld", v->name,
                              (long long)v->amount);
    }
    if (!*n_bundles || d->needs[d->n_needs - 1].name)
        return mr_err_set(err, MR_E_INVAL, "placement group: an entry without a name must end each bundle");
    for (int32_t i = 0; i < d->n_conditions; i++) {
        const mr_condition *t = &d->conditions[i];
        if (t->key && (!t->key[0] || strlen(t->key) >= sizeof(((mr_term *)0)->key) || t->op < MR_LABEL_IN ||
                       t->op > MR_LABEL_ABSENT || (t->value && strlen(t->value) >= sizeof(((mr_term *)0)->value))))
            return mr_err_set(err, MR_E_INVAL,
                              "placement group: the condition on label \"%.80s\" is unknown or too long", t->key);
    }
    return MR_OK;
}

static mr_term *put_terms(mr_term *at, const mr_group_def *d)
{
    memset(at, 0, (size_t)d->n_conditions * sizeof(*at));
    for (int32_t i = 0; i < d->n_conditions; i++, at++) {
        const mr_condition *t = &d->conditions[i];
        if (!t->key)
            continue;
        memcpy(at->key, t->key, strlen(t->key));
        if (t->value)
            memcpy(at->value, t->value, strlen(t->value));
        at->op = (uint32_t)t->op;
    }
    return at;
}

static mr_status make(mr_session *s, const mr_group_def *d, mr_id *out, mr_err *err)
{
    uint32_t n_bundles;
    mr_id id;
    size_t n_name = name_bytes(d->name, d->ns);
    mr_status st = check(d, &n_bundles, err);
    if (!st && (st = mr_session_ids(s, 1, &id)))
        mr_err_set(err, st, "%s", mr_status_text(st));
    if (st)
        return st;
    mr_scratch b;
    uint64_t fixed = (uint64_t)d->n_needs * sizeof(mr_named) + (uint64_t)d->n_conditions * sizeof(mr_term);
    mr_ev_group *r = mr_scratch_record(&b, MR_EV_GROUP, sizeof(*r), 0, fixed + n_name, err);
    if (!r)
        return MR_E_NOMEM;
    r->op = MR_GROUP_MAKE;
    r->id = id;
    r->strategy = (uint32_t)d->strategy;
    r->flags = d->detached ? MR_GROUP_DETACHED : 0;
    r->n_bundles = n_bundles;
    r->n_amounts = (uint32_t)d->n_needs;
    r->n_terms = (uint32_t)d->n_conditions;
    r->name_bytes = (uint32_t)n_name;
    mr_named *at = (mr_named *)(void *)(r + 1);
    memset(at, 0, (size_t)d->n_needs * sizeof(*at));
    for (int32_t i = 0; i < d->n_needs; i++, at++)
        if (d->needs[i].name) {
            memcpy(at->name, d->needs[i].name, strlen(d->needs[i].name));
            at->amount = d->needs[i].amount;
        }
    mr_term *end = put_terms((mr_term *)(void *)at, d);
    if (n_name)
        put_name((char *)end, d->name, d->ns);
    return ask(s, &b, r, out, err);
}

mr_status mr_group_make(mr_session *s, const mr_group_def *def, mr_id *out, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    st = make(s, def, out, err);
    mr_session_leave(s);
    return st;
}

static mr_status simple(mr_session *s, uint32_t op, mr_id id, const char *name, const char *ns, mr_id *out, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_scratch b;
    mr_ev_group *r = mr_scratch_record(&b, MR_EV_GROUP, sizeof(*r), 0, name_bytes(name, ns), err);
    st = MR_E_NOMEM;
    if (r) {
        r->op = op;
        r->id = id;
        if (name)
            put_name((char *)(r + 1), name, ns);
        st = ask(s, &b, r, out, err);
    }
    mr_session_leave(s);
    return st;
}

mr_status mr_group_remove(mr_session *s, mr_id group, mr_err *err)
{
    return simple(s, MR_GROUP_REMOVE, group, NULL, NULL, NULL, err);
}

mr_status mr_group_find(mr_session *s, const char *name, const char *ns, mr_id *out, mr_err *err)
{
    if (!name || !name[0])
        return mr_err_set(err, MR_E_INVAL, "a placement group is found by its name");
    return simple(s, MR_GROUP_FIND, 0, name, ns, out, err);
}

mr_status mr_group_current(mr_session *s, mr_id *out, bool *captures, mr_err *err)
{
    mr_id answer = 0;
    mr_status st = simple(s, MR_GROUP_CURRENT, mr_current_task(s), NULL, NULL, &answer, err);
    if (st)
        return st;
    *out = answer & ~MR_GROUP_CAPTURES;
    *captures = answer & MR_GROUP_CAPTURES;
    return MR_OK;
}
